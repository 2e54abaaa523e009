// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/gates.h"

#include <algorithm>
#include <cmath>

#include "absl/types/span.h"
#include "agent/cause/sureness.h"

namespace spantap {
namespace {

constexpr double kAlmost = 0.995;
constexpr double kMost = 0.9995;
constexpr Confidence kHeldBack{0.89, true};  // 98 % of these were right on recordings
constexpr double kUnseen = 0.85;             // where so many calls are unsimulated, threads hand them to each other
constexpr double kManyNobodys = 0.03;
constexpr double kMostRefused = 0.8;  // where more is refused, what is not is luck

CauseRule RuleOf(const LinkEvidence& evidence) {
  if (evidence.token) return CauseRule::kToken;
  return evidence.agreed ? CauseRule::kProgram : CauseRule::kJoint;
}

// How often what is not sure was right on recordings that were not fitted on: what is given next to nothing is right
// more often than calculated, what is preferred by far less often. Between two points in proportion.
struct Measured {
  double calculated, right;
};
constexpr Measured kOfSums[] = {{0, 0.22},     {0.15, 0.225}, {0.25, 0.285}, {0.35, 0.35}, {0.46, 0.405},
                                {0.545, 0.49}, {0.65, 0.55},  {0.75, 0.61},  {kSure, 0.69}};
constexpr Measured kOfSigns[] = {{0, 0.03},      {0.015, 0.11}, {0.055, 0.21}, {0.1, 0.26},
                                 {0.35, 0.415},  {0.55, 0.55},  {0.65, 0.615}, {0.725, 0.665},
                                 {0.825, 0.755}, {0.875, 0.83}, {kSure, 0.86}};

double RightOf(absl::Span<const Measured> curve, double calculated) {
  size_t i = 1;
  while (i + 1 < curve.size() && curve[i].calculated < calculated) ++i;
  const Measured &before = curve[i - 1], &after = curve[i];
  const double share = (calculated - before.calculated) / (after.calculated - before.calculated);
  return before.right + std::clamp(share, 0.0, 1.0) * (after.right - before.right);
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
    said.confidence = RightOf(kOfSums, evidence.joint);
    if (evidence.signs[Sign::kCrowded] > 0) said.reason = "crowded";
    return said;
  }
  const double log_odds = LogOddsRight(evidence.signs);
  const double right = std::min(1 / (1 + std::exp(-log_odds)), kMost);
  // A call of somebody else shifts a queue, and may have taken the place of the handler's own.
  const bool strict = evidence.signs[Sign::kPools] > 0 || evidence.nobodys > kManyNobodys;
  said.stands = !Blind(evidence) && log_odds > StatedFrom(evidence.signs, strict);
  if (said.stands && (evidence.token || evidence.refused < kMostRefused)) {
    said.confidence = right;
    said.reason = "";
    return said;
  }
  said.confidence = right > kSure ? kHeldBack : Confidence(RightOf(kOfSigns, right));
  if (evidence.joint > kAlmost) said.reason = "busy";
  return said;
}

}  // namespace spantap
