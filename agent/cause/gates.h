// SPDX-License-Identifier: Apache-2.0
//
// What is stated about a link: a probability that is calculated is as good as the model behind it, and under load
// models err together. More than kSure is stated only if an independent witness agrees, and only as long as witnesses
// and sums have agreed lately. Pure, but for Strain.
#pragma once

#include "absl/strings/string_view.h"
#include "agent/cause/cause_finder.h"

namespace spantap {

inline constexpr double kSure = 0.9;  // links stated above it are meant to be drawn

// How often something happened lately: quick to rise, slow to fall.
class Lately {
 public:
  explicit Lately(double share, double weight = 64) : slow_{share * weight, weight} {}
  void Add(bool happened);
  double value() const;

 private:
  struct Window {
    double times, all;
  };
  Window slow_;
  Window fast_ = {0, 16};
};

// The best signs that a process is too busy to be read.
struct Strain {
  Lately disagreed{0.01};   // of the simulation's proposals, those that the sums contradict
  Lately open{0.03};        // of all calls, those that the sums leave open
  Lately refused{0.35, 8};  // of all calls without a token, those that did not stand
  Lately unsimulated{0.5};  // of all calls, those that the simulation had no proposal for: no loops to be seen
  Lately waited{0};         // of all calls, those that seem to have waited for a connection: a pool that is too small
};

struct LinkEvidence {
  double joint = 0;       // probability over all joint choices
  double local = 0;       // without asking what the others could do instead
  double worst_step = 0;  // of the timeline, in nats
  bool crowded = false;   // too many joint choices for the sum
  bool agreed = false;    // the simulation says the same
  bool counted = false;   // turns of the loop and heads in between are known
  bool silent = false;    // the simulation says nothing
  bool token = false;     // a rare value that no other open request has
  double disagreed = 0;   // Strain
  double open = 0;
  double refused = 0;
  double unsimulated = 0;
  double waited = 0;
};

struct Statement {
  double confidence = 0;
  bool stands = false;  // but for how much was refused lately
  CauseRule rule = CauseRule::kJoint;
  absl::string_view reason;  // why no more than kSure; "" if it is
};
Statement State(const LinkEvidence& evidence);

}  // namespace spantap
