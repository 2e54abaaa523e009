// SPDX-License-Identifier: Apache-2.0
//
// Calls get a connection in the order in which they were made: of those that are known to have been made (or may have
// been made some time later, after something unseen), which is each that was sent? A hidden Markov chain along the
// calls that were sent: its state is how many of those known to wait have gone, and which one of the last few was
// passed over. Forward and backward sums give the probability that a call is a handler's. Pure.
//
// Cost: some 20 steps for each state of a call, at most kMostStates of 4 numbers, those that are negligible left out.
// Memory: 20 bytes for each state of a call, kMostSent calls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"

namespace spantap {

class QueueOrder {
 public:
  static constexpr size_t kMostStates = 48;
  static constexpr size_t kMostSent = 512;
  // Made, and in the queue since then.
  struct Waiting {
    uint32_t who = 0;
    uint8_t label = 0;
    uint64_t since_ns = 0;
    float not_made = 0;  // probability that it was not made after all
    uint32_t tid = 0;    // 0: it is not known in which turn of a loop it was made
    uint32_t turn = 0;
  };
  // Made some time after a moment.
  struct Unsure {
    uint32_t who = 0;
    uint8_t label = 0;
    absl::InlinedVector<std::pair<uint64_t, float>, 12> until;  // share made until then, both ascending
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

  // All in order of time. `nobody`: weight of a call being none of theirs. `fits`: how much more likely what else is
  // known of a call is if it is `who`'s.
  QueueOrder(absl::Span<const Waiting> waiting, absl::Span<const Unsure> unsure, absl::Span<const Sent> sent,
             double nobody, absl::FunctionRef<double(uint32_t who, uint32_t sent)> fits);
  // Of each call sent, the likeliest first; what is missing to 1 is somebody else's.
  std::vector<Shares> Solve();

 private:
  static constexpr uint32_t kPassed = 4;  // 0: none was passed over; else how many have gone since
  static constexpr int kNobody = -1, kUnsure = -2;
  using State = std::array<float, kPassed>;
  struct Column {
    uint32_t first = 0, states = 0;  // how many have gone
    size_t forward = 0;              // where they are in forward_
    uint32_t from = 0;               // the first that may match
    uint32_t places = 0;
    size_t match = 0;  // where they are in match_
  };
  struct Between {
    uint32_t unsure;
    float share;
  };
  void Spread();
  void SpreadOne(uint32_t number);
  void Prepare(Column& column, uint32_t sent);
  double Inserted(uint32_t place, uint32_t sent);
  double WeightOf(const Between& some, uint32_t sent);
  struct Ways;
  float Match(const Column& column, uint32_t place) const;
  Ways WaysFrom(const Column& column, uint32_t gone) const;
  template <class Visit>
  void Next(const Column& column, const Ways& ways, uint32_t gone, uint32_t passed, Visit visit) const;
  void Forward(uint32_t sent);
  void Keep(const Column& column, Column& after);
  void Backward(uint32_t sent, Shares& shares);
  void Name(uint32_t sent, double all, Shares& shares);

  absl::Span<const Waiting> waiting_;
  absl::Span<const Unsure> unsure_;
  absl::Span<const Sent> sent_;
  const double nobody_;
  absl::FunctionRef<double(uint32_t, uint32_t)> fits_;
  std::vector<std::vector<Between>> between_;  // before each that waits, and after the last
  std::vector<float> pass_;                    // that none of these comes
  std::vector<Column> columns_;
  std::vector<State> forward_;
  std::vector<float> match_;   // that the one that waits there is this call
  std::vector<float> insert_;  // ... or one that comes before it, of those that are unsure
  std::vector<State> next_, backward_;
  std::vector<double> taken_, inserted_;
  struct Fit {
    uint32_t sent = UINT32_MAX;
    double fits = 0;
  };
  std::vector<Fit> unsure_fits_;  // of each that is unsure, the call that was asked for last
};

}  // namespace spantap
