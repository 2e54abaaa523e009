// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/gates.h"

#include <algorithm>

namespace spantap {
namespace {

constexpr double kSlow = 512, kFast = 64;  // decisions
constexpr double kCalm = 0.01, kBusy = 0.015, kTooBusy = 0.04;
constexpr double kAlmost = 0.99;
constexpr double kOdd = -2;  // nats: a step that is unusual
constexpr double kMost = 0.999;
constexpr double kCapped = 0.89;

}  // namespace

void Doubt::Add(bool disagree) {
  slow_.bad += disagree, fast_.bad += disagree;
  if (++slow_.all > kSlow) slow_.bad /= 2, slow_.all /= 2;
  if (++fast_.all > kFast) fast_.bad /= 2, fast_.all /= 2;
}

// Quick to rise, slow to fall.
double Doubt::value() const { return std::max(slow_.bad / slow_.all, fast_.bad / fast_.all - 2 / kFast); }

Statement State(const LinkEvidence& evidence) {
  const double sure = std::min({evidence.joint, kMost, evidence.crowded ? evidence.local : 1.0});
  Statement said{sure, evidence.token ? CauseRule::kToken : evidence.agreed ? CauseRule::kProgram : CauseRule::kJoint, ""};
  if (sure <= kSure) {
    said.reason = evidence.crowded ? "crowded" : "ambiguous";
    return said;
  }
  bool stands = false;
  if (evidence.joint > kAlmost) {
    if (evidence.token && evidence.local > kSure) {
      stands = true;
    } else if (evidence.agreed && !evidence.crowded) {
      stands = evidence.doubt < kTooBusy && (evidence.worst_step > kOdd || evidence.doubt < kCalm);
    } else if (evidence.agreed) {
      stands = evidence.doubt < kBusy && evidence.local > kAlmost;
    } else {
      stands = !evidence.crowded && evidence.doubt < kCalm && evidence.local > 0.97;
    }
  }
  if (stands) return said;
  said.confidence = std::min(sure, kCapped);
  said.reason = evidence.joint > kAlmost ? "busy" : "ambiguous";
  return said;
}

}  // namespace spantap
