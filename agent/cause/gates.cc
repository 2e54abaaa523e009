// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/gates.h"

#include <algorithm>

namespace spantap {
namespace {

constexpr double kSlow = 512, kFast = 64;  // calls
constexpr double kAlmost = 0.995;
constexpr double kMost = 0.9995;
constexpr double kOdd = -4.5;         // nats: a step that is out of order
constexpr double kMostRefused = 0.5;  // where more is refused, what is not is luck
constexpr double kCapped = 0.89;

// Each line was chosen on recordings of a dozen servers at four loads: what stays is as good as never wrong there.
bool Stands(const LinkEvidence& e) {
  if (e.joint < kAlmost || e.local < kSure) return false;
  if (e.token) return e.open < 0.5;
  if (!e.counted) return false;  // gaps alone tell too little
  if (e.worst_step < kOdd && (e.open > 0.03 || e.disagreed > 0.015)) return false;
  if (e.silent && e.unsimulated > 0.85) return false;  // what threads hand to each other cannot be seen
  if (e.waited > 0.08) return false;                   // one wrong owner shifts the whole queue behind it
  if (e.crowded) return e.agreed && e.local > 0.995 && e.disagreed < 0.01 && e.open < 0.08;
  if (e.agreed && e.open < 0.08 && e.disagreed < 0.03) return true;
  if (e.agreed) return e.open < 0.09 && e.disagreed < 0.04 && e.worst_step > -2;
  if (e.joint < kMost || e.local < 0.95 || e.disagreed > 0.04) return false;
  return e.open < (e.silent ? 0.045 : 0.06);
}

}  // namespace

void Lately::Add(bool happened) {
  slow_.times += happened, fast_.times += happened;
  if (++slow_.all > kSlow) slow_.times /= 2, slow_.all /= 2;
  if (++fast_.all > kFast) fast_.times /= 2, fast_.all /= 2;
}

double Lately::value() const { return std::max(slow_.times / slow_.all, fast_.times / fast_.all - 2 / kFast); }

Statement State(const LinkEvidence& evidence) {
  const double sure = std::min({evidence.joint, kMost, evidence.crowded ? evidence.local : 1.0});
  Statement said{sure, false,
                 evidence.token    ? CauseRule::kToken
                 : evidence.agreed ? CauseRule::kProgram
                                   : CauseRule::kJoint,
                 ""};
  if (sure <= kSure) {
    said.reason = evidence.crowded ? "crowded" : "ambiguous";
    return said;
  }
  said.stands = Stands(evidence);
  if (said.stands && (evidence.token || evidence.refused < kMostRefused)) return said;
  said.confidence = std::min(sure, kCapped);
  said.reason = evidence.joint > kAlmost ? "busy" : "ambiguous";
  return said;
}

}  // namespace spantap
