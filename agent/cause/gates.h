// SPDX-License-Identifier: Apache-2.0
//
// What is stated about a link: a probability that is calculated is as good as the model behind it, and under load models
// err together. More than kSure is stated only if an independent witness agrees, and only as long as witnesses and sums have
// agreed lately. Pure, but for Doubt.
#pragma once

#include "absl/strings/string_view.h"
#include "agent/cause/cause_finder.h"

namespace spantap {

inline constexpr double kSure = 0.9;  // links stated above it are meant to be drawn

// How often the simulation and the sums disagreed lately: the best sign that a process is too busy to be read.
class Doubt {
 public:
  void Add(bool disagree);
  double value() const;

 private:
  struct Window {
    double bad, all;
  };
  Window slow_ = {1, 48};
  Window fast_ = {0, 16};
};

struct LinkEvidence {
  double joint = 0;       // probability over all joint choices
  double local = 0;       // without asking what the others could do instead
  double worst_step = 0;  // of the timeline, in nats
  bool crowded = false;   // too many joint choices for the sum
  bool cut = false;       // a search behind it was cut short
  bool agreed = false;    // the simulation says the same
  bool token = false;     // a rare value that no other open request has
  double doubt = 0;
};

struct Statement {
  double confidence = 0;
  CauseRule rule = CauseRule::kJoint;
  absl::string_view reason;  // why no more than kSure; "" if it is
};
Statement State(const LinkEvidence& evidence);

}  // namespace spantap
