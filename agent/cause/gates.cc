// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/gates.h"

#include <algorithm>
#include <cmath>

#include "agent/cause/sureness.h"

namespace spantap {
namespace {

constexpr double kAlmost = 0.995;
constexpr double kMost = 0.9995;
constexpr double kCapped = 0.89;

CauseRule RuleOf(const LinkEvidence& evidence) {
  if (evidence.token) return CauseRule::kToken;
  return evidence.agreed ? CauseRule::kProgram : CauseRule::kJoint;
}

}  // namespace

Statement State(const LinkEvidence& evidence) {
  const double log_odds = LogOddsRight(evidence.signs);
  const double right = std::min(1 / (1 + std::exp(-log_odds)), kMost);
  Statement said{right, RuleOf(evidence), ""};
  // Time alone tells too little: what was fitted had counters.
  const bool seen = evidence.counted || evidence.token;
  if (seen && evidence.joint > kSure && log_odds > FittedSureness().stated) return said;
  said.confidence = std::min(right, kCapped);
  const bool busy = evidence.joint > kAlmost;
  said.reason = busy ? "busy" : evidence.signs[Sign::kCrowded] > 0 ? "crowded" : "ambiguous";
  return said;
}

}  // namespace spantap
