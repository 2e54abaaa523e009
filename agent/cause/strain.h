// SPDX-License-Identifier: Apache-2.0
//
// How well a process could be read lately: shares of its calls. Under load models err together, and that shows here
// first. Event thread. Memory: kMaxKinds entries of 40 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "agent/cause/odds.h"

namespace spantap {

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

class Strain {
 public:
  static constexpr size_t kMaxKinds = 1024;

  Lately disagreed{0.01};   // of the simulation's proposals, those that the sums contradict
  Lately unsimulated{0.5};  // of all calls, those that the simulation had no proposal for: no loops to be seen
  Lately nobodys{0};        // of all calls, those that no handler can have made
  Lately waited{0};         // of all calls, those that seem to have waited for a connection: a pool that is too small

  Lately refused{0.35, 8};  // of calls that somebody may have made, without a token, those that were not stated

  // Of all calls, and of those of one route and label, those that the sums leave open.
  double open() const { return open_.value(); }
  double OpenOf(uint16_t route, Label label) const;
  void AddOpen(bool open) { open_.Add(open); }
  void AddOpen(uint16_t route, Label label, bool open);
  void ForgetRoute(uint16_t route);

 private:
  static constexpr double kOpenPrior = 0.03;
  Lately open_{kOpenPrior};
  absl::flat_hash_map<uint32_t, Lately> kinds_;  // by route and label
};

}  // namespace spantap
