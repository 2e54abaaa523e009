// SPDX-License-Identifier: Apache-2.0
//
// What is stated about a link: a probability that is calculated is as good as the model behind it, and under load
// models err together. So the sums are one sign among many (evidence.h); how often links with such signs were right is
// what counts (sureness.h). More than kSure is stated only where next to none were wrong; of what is likelier than
// kSure, but not by that much, a probability would be either too low or a promise that is not kept: only a bound is
// stated. Pure.
#pragma once

#include "absl/strings/string_view.h"
#include "agent/cause/cause_finder.h"
#include "agent/cause/confidence.h"
#include "agent/cause/evidence.h"

namespace spantap {

inline constexpr double kSure = 0.9;  // links stated above it are meant to be drawn

struct LinkEvidence {
  double joint = 0;      // probability over all joint choices
  bool agreed = false;   // the simulation says the same
  bool counted = false;  // turns of the loop and heads in between are known
  bool token = false;    // a rare value that no other open request has
  double refused = 0;    // Strain
  double nobodys = 0;
  Evidence signs;  // complete if `joint` is more than kSure
};

struct Statement {
  Confidence confidence = 0;
  bool stands = false;  // but for how much was refused lately
  CauseRule rule = CauseRule::kJoint;
  absl::string_view reason;  // why no more than kSure; "" if it is
};
Statement State(const LinkEvidence& evidence);

}  // namespace spantap
