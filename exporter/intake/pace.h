// SPDX-License-Identifier: Apache-2.0
//
// How long the hand-off's thread rests between two looks at the rings: nobody wakes it, because a wake-up costs a
// producer as much as some hundred spans.
//
// Short while rings fill fast, long while they do not, longest when nothing has come for a second. Values; one thread.
#pragma once

#include <cstdint>

namespace spantap {

class Pace {
 public:
  static constexpr int kShortestMs = 1;
  static constexpr int kLongestMs = 10;
  // Not more: the first burst after a calm has to fit into the ring.
  static constexpr int kIdleMs = 25;
  static constexpr uint64_t kIdleAfterNs = 1'000'000'000;

  // `fill`: of the fullest ring when the turn began, 0 to 1. `more`: something was left in a ring.
  void OnTurn(double fill, bool more, uint64_t mono_ns);
  int rest_ms() const { return rest_ms_; }

 private:
  int rest_ms_ = kIdleMs;
  uint64_t last_record_ns_ = 0;
};

}  // namespace spantap
