// SPDX-License-Identifier: Apache-2.0
//
// Which calls the handler of a route makes, and when it replies: for what it has called so far, and whether answers are
// outstanding, how often each next thing followed. One per process; event thread. Memory: kMaxStates of 100 bytes.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "agent/cause/odds.h"

namespace spantap {

// What was called so far, whatever the order; the fourth call of one kind and later ones make no difference.
class Bag {
 public:
  void Add(Label label, uint32_t nth);  // nth: how many of this label with this one
  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_ = 0;
};

struct HandlerState {
  uint16_t route = 0;
  Bag bag;
  bool outstanding = false;
  uint64_t key() const;
};

class Program {
 public:
  static constexpr size_t kMaxStates = 2048;
  using NextLabels = absl::InlinedVector<std::pair<Label, float>, 4>;

  void Learn(const HandlerState& state, Label next, double weight);
  // What followed, null if the state was never seen.
  const NextLabels* NextOf(const HandlerState& state) const;
  // Natural logarithm of the probability that `next` follows.
  double LogOf(const HandlerState& state, Label next) const;
  void ForgetRoute(uint16_t route);

 private:
  struct State {
    uint16_t route = 0;
    float total = 0;
    NextLabels next;
  };
  absl::flat_hash_map<uint64_t, State> states_;
  absl::flat_hash_map<uint32_t, float> labels_;  // by route and label
  absl::flat_hash_map<uint16_t, float> totals_;  // by route
};

}  // namespace spantap
