// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/sureness.h"
namespace spantap {
namespace {
constexpr SurenessNode kNodes[] = {{1, 3, 1, 2}, {255, -3, 0, 0}, {0, 4, 1, 2}, {255, -3, 0, 0}, {255, 9, 0, 0}};
constexpr uint16_t kRoots[] = {0};
}  // namespace
const SurenessModel& FittedSureness() {
  static const SurenessModel model{0, 6, kNodes, kRoots};
  return model;
}
}  // namespace spantap
