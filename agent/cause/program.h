// SPDX-License-Identifier: Apache-2.0
//
// Which calls the handler of a route makes, and when it replies: for what it has called so far, and whether answers are
// outstanding, how often each next thing followed. One per process; event thread. Memory: kMaxStates of 120 bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "agent/cause/learned_image.h"
#include "agent/cause/odds.h"

namespace spantap {

// What was called so far, whatever the order; the fourth call of one kind and later ones make no difference.
class Bag {
 public:
  static constexpr uint32_t kCounted = 3;
  void Add(Label label);
  void Add(const Bag& other, const LabelMap& labels);  // with its labels translated
  uint32_t count(Label label) const { return words_[label / 32] >> 2 * (label % 32) & kCounted; }
  uint64_t hash() const;
  // Two bits a label; the last two stay empty.
  const std::array<uint64_t, 2>& words() const { return words_; }
  static Bag Of(const std::array<uint64_t, 2>& words);
  // Without the call that was counted last. Not if there were too many to be counted.
  std::optional<Bag> Without(Label label) const;

 private:
  std::array<uint64_t, 2> words_ = {};
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
  // ... that a handler which waits for answers reads all of them before it calls anything else.
  double LogOfAnswers(const HandlerState& state) const;
  void ForgetRoute(uint16_t route);

  // What was learned of a route, in a fixed order, and back. A state counts at most as kMostRecalled observations.
  std::vector<StateImage> Export(uint16_t route) const;
  void Import(uint16_t route, const StateImage& image, const LabelMap& labels);

 private:
  struct State {
    Bag bag;
    uint16_t route = 0;
    bool outstanding = false;
    uint8_t fading = 0;  // halvings until what was imported has gone
    float total = 0;
    NextLabels next;
  };
  float TotalOf(const HandlerState& state) const;
  // Probability that a handler which waits for answers calls something else before it has read all of them.
  double CallsOn(const HandlerState& state) const;

  absl::flat_hash_map<uint64_t, State> states_;
  absl::flat_hash_map<uint32_t, float> labels_;  // by route and label
  absl::flat_hash_map<uint16_t, float> totals_;  // by route
};

}  // namespace spantap
