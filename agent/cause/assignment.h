// SPDX-License-Identifier: Apache-2.0
//
// Several handlers, each with several timelines that may have been its own; each call belongs to at most one handler.
// How probable is it that a handler made a call? Summed over all joint choices: handlers are taken in order, what is
// carried on is which of the calls that later ones may want are taken already. Exact as long as the sets fit into
// `max_sets`; where they do not, the probabilities of that group are marked as crowded. Handlers that share no call are
// separate groups, and what is beyond doubt before any sum (one choice far ahead, nobody else wants its calls) is
// settled first, by the handler's own weights (what is left to nobody costs nothing here), which is most of it. Pure:
// no state, nothing known of requests.
//
// Sum-product messages along the same graph were tried: two handlers that may have swapped two calls are a cycle, on
// which messages go to certainty whatever the odds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace spantap {

struct Choice {
  double log_weight = 0;
  absl::Span<const uint32_t> calls;  // numbers from 0, ascending, none twice
};

class Assignment {
 public:
  static constexpr size_t kMaxSets = 64;

  // Adds a handler; it must choose one. In order of their begin. Returns its number.
  uint32_t AddChooser(std::vector<Choice> choices);
  // `log_nobody`: weight of the case that no chooser has a call.
  // `wanted`: calls whose claims will be asked for, all if empty; groups without any are not summed.
  // `budget`: steps of the sums in all; groups for which none are left count as crowded, with local probabilities.
  void Solve(uint32_t calls, double log_nobody, size_t max_sets = kMaxSets, const std::vector<bool>& wanted = {},
             size_t budget = SIZE_MAX);

  // Probability that the chooser has the call.
  double Of(uint32_t chooser, uint32_t call) const;
  // Probability of a choice.
  double OfChoice(uint32_t chooser, uint32_t choice) const { return choosers_[chooser].probability[choice]; }
  bool Summed(uint32_t chooser) const { return choosers_[chooser].summed; }
  // Those who might have the call.
  struct Claim {
    uint32_t chooser;
    double probability;
  };
  std::vector<Claim> ClaimsOf(uint32_t call) const;
  // The same without asking what the others could do instead: less sure, but for the right reasons.
  double Local(uint32_t chooser, uint32_t call) const;
  // Too many joint choices were possible for the sum: the probabilities are too sure of themselves.
  bool Crowded(uint32_t chooser) const { return choosers_[chooser].crowded; }

 private:
  struct Chooser {
    std::vector<Choice> choices;
    std::vector<double> probability;
    std::vector<bool> dropped;  // choices that settled ones exclude
    bool crowded = false;
    bool settled = false;
    bool summed = false;
  };
  struct Set;
  struct Move;
  using Sets = std::vector<Set>;
  using Moves = std::vector<Move>;
  void Crowd(const std::vector<uint32_t>& group, uint32_t at, const Sets& sets);
  double LocalOdds(const Chooser& chooser, uint32_t call) const;
  void Settle();
  bool SettlesOn(uint32_t chooser) const;
  bool Wants(uint32_t chooser, const std::vector<bool>& wanted) const;
  void Drop(uint32_t chooser, uint32_t call);
  std::vector<double> WeightsOf(const Chooser& chooser) const;
  Moves MovesFrom(const Sets& now, uint32_t number, const std::vector<double>& weight, Sets& next) const;
  bool DropNegligible(Sets& sets) const;
  static void KeepReached(Sets& sets, Moves& moves);
  void GoBack(const std::vector<uint32_t>& group, std::vector<Sets>& steps, const std::vector<Moves>& moves);
  bool SolveGroup(const std::vector<uint32_t>& group);
  void GuessGroup(const std::vector<uint32_t>& group);

  std::vector<Chooser> choosers_;
  std::vector<std::vector<uint32_t>> of_call_;  // choosers
  std::vector<uint32_t> last_;                  // of each call: the last chooser that may want it
  double log_nobody_ = 0;
  size_t max_sets_ = kMaxSets;
  size_t budget_ = SIZE_MAX;
};

}  // namespace spantap
