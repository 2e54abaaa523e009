// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/gates.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "agent/cause/sureness.h"

namespace spantap {
namespace {

constexpr double kAlmost = 0.995;
constexpr double kMost = 0.9995;
constexpr double kCapped = 0.899;
constexpr double kOptimism = 0.12;  // of what is not sure: measured on recordings that were not fitted on
constexpr double kUnseen = 0.85;    // where so many calls are unsimulated, threads hand them to each other
constexpr double kManyNobodys = 0.03;
constexpr double kMostRefused = 0.8;  // where more is refused, what is not is luck

CauseRule RuleOf(const LinkEvidence& evidence) {
  if (evidence.token) return CauseRule::kToken;
  return evidence.agreed ? CauseRule::kProgram : CauseRule::kJoint;
}

// What the sums leave open, and how often it was right on recordings: what they give next to nothing is right more
// often than they say, and where they prefer one by far, less often. Between two points in proportion.
struct Measured {
  double joint, right;
};
constexpr Measured kMeasured[] = {{0, 0.21},    {0.15, 0.23}, {0.3, 0.32},  {0.46, 0.42},
                                  {0.55, 0.49}, {0.65, 0.57}, {0.75, 0.64}, {kSure, 0.71}};

double RightOf(double joint) {
  const Measured* after = std::begin(kMeasured) + 1;
  while (after + 1 != std::end(kMeasured) && after->joint < joint) ++after;
  const Measured* before = after - 1;
  const double share = std::clamp((joint - before->joint) / (after->joint - before->joint), 0.0, 1.0);
  return before->right + share * (after->right - before->right);
}

// What no recording can have taught.
bool Blind(const LinkEvidence& evidence) {
  if (evidence.token) return false;
  if (!evidence.counted) return true;  // time alone tells too little
  return evidence.signs[Sign::kProposal] < 0 && evidence.signs[Sign::kUnsimulated] > kUnseen;
}

}  // namespace

Statement State(const LinkEvidence& evidence) {
  Statement said{0, false, RuleOf(evidence), "ambiguous"};
  if (evidence.joint <= kSure) {
    said.confidence = RightOf(evidence.joint);
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
  said.confidence = right < kCapped ? right - kOptimism * std::max(0.0, right - 0.5) : kCapped;
  if (evidence.joint > kAlmost) said.reason = "busy";
  return said;
}

}  // namespace spantap
