// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/gates.h"

#include <algorithm>
#include <cmath>

#include "agent/cause/sureness.h"

namespace spantap {
namespace {

constexpr double kAlmost = 0.995;
constexpr double kMost = 0.9995;
constexpr double kCapped = 0.899;
constexpr double kLeast = 0.28;   // the best of many that the sums give next to nothing is right that often
constexpr double kUnseen = 0.85;  // where so many calls are unsimulated, threads hand them to each other
constexpr double kManyNobodys = 0.03;
constexpr double kMostRefused = 0.85;  // where more is refused, what is not is luck

CauseRule RuleOf(const LinkEvidence& evidence) {
  if (evidence.token) return CauseRule::kToken;
  return evidence.agreed ? CauseRule::kProgram : CauseRule::kJoint;
}

// What no recording can have taught.
bool Blind(const LinkEvidence& evidence) {
  if (evidence.token) return false;
  if (!evidence.counted) return true;  // time alone tells too little
  return evidence.signs[Sign::kProposal] < 0 && evidence.signs[Sign::kUnsimulated] > kUnseen;
}

}  // namespace

Statement State(const LinkEvidence& evidence) {
  Statement said{std::clamp(evidence.joint, kLeast, kCapped), false, RuleOf(evidence), "ambiguous"};
  if (evidence.joint <= kSure) {
    if (evidence.signs[Sign::kCrowded] > 0) said.reason = "crowded";
    return said;
  }
  const SurenessModel& model = FittedSureness();
  const double log_odds = LogOddsRight(evidence.signs);
  const double right = std::min(1 / (1 + std::exp(-log_odds)), kMost);
  // A call of somebody else shifts a queue, and may have taken the place of the handler's own.
  const bool strict = evidence.signs[Sign::kPools] > 0 || evidence.nobodys > kManyNobodys;
  said.stands = !Blind(evidence) && log_odds > (strict ? model.stated_pools : model.stated);
  if (said.stands && (evidence.token || evidence.refused < kMostRefused)) {
    said.confidence = right;
    said.reason = "";
    return said;
  }
  said.confidence = std::min(right, kCapped);
  if (evidence.joint > kAlmost) said.reason = "busy";
  return said;
}

}  // namespace spantap
