// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/sureness.h"

namespace spantap {

double LogOddsRight(const Evidence& evidence) {
  const SurenessModel& model = FittedSureness();
  double sum = model.base;
  for (const uint16_t root : model.roots) {
    const SurenessNode* node = &model.nodes[root];
    while (node->sign != SurenessNode::kLeaf) node += evidence.at(node->sign) <= node->at ? node->yes : node->no;
    sum += node->at;
  }
  return sum;
}

}  // namespace spantap
