// SPDX-License-Identifier: Apache-2.0
//
// Calls wait for a connection in the order in which they were made: which of those that are known to have been made (or
// may have been made some time later, after something unseen) is each that was sent? A hidden Markov chain along the
// calls that were sent: its state is how many of those known to wait have gone, and which one of the last few has been
// passed over. Forward and backward sums give the probability that a call is a handler's. Pure.
//
// Cost and memory: kMost states of 4 numbers for each call at most, those that are negligible left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>
#include <array>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"

namespace spantap {

class QueueOrder {
 public:
  static constexpr size_t kMostStates = 64;
  // Made, and in the queue since then.
  struct Waiting {
    uint32_t who = 0;
    uint8_t label = 0;
    uint64_t since_ns = 0;
    float not_made = 0;  // probability that it was not made after all
    uint32_t tid = 0;    // 0: it is not known in which turn of a loop it was made
    uint32_t turn = 0;
  };
  // Made some time after a moment: how much of that falls into each stretch of time between two that wait.
  struct Unsure {
    uint32_t who = 0;
    uint8_t label = 0;
    absl::InlinedVector<std::pair<uint64_t, float>, 12> until;  // share made until then, ascending
  };
  struct Sent {
    uint8_t label = 0;
    uint64_t ns = 0;
    bool at_once = false;  // it did not wait
  };
  struct Share {
    uint32_t who;
    float probability;
  };
  using Shares = absl::InlinedVector<Share, 4>;

  // Both in order of time. `fits`: how much more likely what else is known of call `sent` is if it is `who`'s.
  QueueOrder(absl::Span<const Waiting> waiting, absl::Span<const Unsure> unsure, absl::Span<const Sent> sent,
             double nobody, absl::FunctionRef<double(uint32_t who, uint32_t sent)> fits);
  // Of each call sent, the likeliest first; what is missing to 1 is somebody else's.
  std::vector<Shares> Solve();

 private:
  static constexpr int kPassed = 4;  // 0: none passed over; else how many have gone since
  struct Column {
    uint32_t first = 0;  // of the states
    std::vector<std::array<float, kPassed>> forward;
    std::vector<float> match;   // from `first` on: that the one that waits at this place is this call
    std::vector<float> unsure;  // that one comes in between
  };
  struct Between {
    uint32_t unsure;
    float share;
  };
  template <class Visit>
  void Next(const Column& column, uint32_t gone, int passed, Visit visit) const;
  void Prepare(Column& column, uint32_t sent, uint32_t states);
  void Forward(uint32_t sent);
  void Spread();
  void Add(Shares& shares, uint32_t who, double probability) const;
  void Collect(uint32_t sent, std::vector<std::array<double, kPassed>>& backward, Shares& shares) const;

  absl::Span<const Waiting> waiting_;
  absl::Span<const Unsure> unsure_;
  absl::Span<const Sent> sent_;
  double nobody_;
  absl::FunctionRef<double(uint32_t, uint32_t)> fits_;
  std::vector<std::vector<Between>> between_;  // before each that waits, and after the last
  std::vector<float> pass_;                    // that none of these comes
  std::vector<Column> columns_;
};

}  // namespace spantap
