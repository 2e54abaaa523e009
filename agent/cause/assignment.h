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

#include "absl/container/inlined_vector.h"
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
  uint32_t AddChooser(absl::Span<const Choice> choices);
  // `log_nobody`: weight of the case that no chooser has a call.
  // `wanted`: calls whose claims will be asked for, all if empty; groups without any are not summed.
  // `budget`: steps of the sums in all; groups for which none are left count as crowded, with local probabilities.
  void Solve(uint32_t calls, double log_nobody, size_t max_sets = kMaxSets, const std::vector<bool>& wanted = {},
             size_t budget = SIZE_MAX);

  // Probability that the chooser has the call.
  double Of(uint32_t chooser, uint32_t call) const;
  // Probability of a choice.
  double OfChoice(uint32_t chooser, uint32_t choice) const { return choosers_[chooser].choices[choice].probability; }
  bool Summed(uint32_t chooser) const { return choosers_[chooser].summed; }
  // Those who might have the call.
  struct Claim {
    uint32_t chooser;
    double probability;
  };
  using Claims = absl::InlinedVector<Claim, 4>;
  Claims ClaimsOf(uint32_t call) const;
  // The same without asking what the others could do instead: less sure, but for the right reasons.
  double Local(uint32_t chooser, uint32_t call) const;
  // Too many joint choices were possible for the sum: the probabilities are too sure of themselves.
  bool Crowded(uint32_t chooser) const { return choosers_[chooser].crowded; }

 private:
  struct Weighed : Choice {
    explicit Weighed(const Choice& choice) : Choice(choice) {}
    double probability = 0;
    double alone = 0;      // weight if nobody else were there, relative to the best; valid when `Chooser::weighed`
    bool dropped = false;  // settled ones exclude it
  };
  struct Chooser {
    std::vector<Weighed> choices;
    bool weighed = false;
    bool crowded = false;
    bool settled = false;
    bool summed = false;
  };
  // One of a chooser's choices has a call.
  struct Use {
    uint32_t chooser;
    uint32_t choice;
  };
  // Which calls are taken, of those that later choosers may want. Made by one chooser from a set before it.
  struct Set {
    uint64_t hash = 0;
    uint32_t from = 0, choice = 0;
    uint32_t begin = 0, count = 0;  // in taken_
    double forward = 0;
    double backward = 0;
  };
  struct Move {
    uint32_t from, to;  // numbers in sets_
    uint32_t choice;
    double weight;
  };
  // What a choice, or a set, takes of what later choosers may want; `mask` of the present chooser's calls.
  struct Taking {
    uint64_t mask = 0;
    uint64_t hash = 0;
    uint32_t begin = 0, count = 0;  // in kept_
    bool looked = false;            // at who wants them
  };

  void IndexUses(uint32_t calls);
  absl::Span<const Use> UsesOf(uint32_t call) const;
  double LocalOdds(uint32_t chooser, uint32_t call) const;
  static void WeighAlone(Chooser& chooser);
  void Settle();
  bool SettlesOn(uint32_t chooser);
  void SettleOn(uint32_t chooser);
  bool Wants(uint32_t chooser, const std::vector<bool>& wanted) const;
  using Group = absl::Span<const uint32_t>;  // choosers
  void MakeGroups(uint32_t calls);
  void GuessGroup(Group group);
  // assignment_sums.cc
  bool SolveGroup(Group group);
  void Weigh(const Chooser& chooser);
  void MakeMoves(uint32_t chooser);
  Taking Take(absl::Span<const uint32_t> calls, uint32_t chooser);
  bool Collide(const Set& set, const Choice& choice) const;
  uint32_t Reach(uint64_t hash, uint32_t from, uint32_t choice);
  bool DropNegligible();
  void Crowd(Group group, uint32_t at);
  void KeepReached();
  void GoBack(Group group);

  mutable std::vector<Chooser> choosers_;  // what they would weigh alone is found when it is asked for
  std::vector<uint32_t> members_;          // choosers, group by group
  std::vector<uint32_t> group_ends_;
  std::vector<Use> uses_;       // by call, then in order
  std::vector<uint32_t> ends_;  // of each call's uses
  std::vector<uint32_t> last_;  // of each call: the last chooser that may want it
  double log_nobody_ = 0;
  size_t max_sets_ = kMaxSets;
  size_t budget_ = SIZE_MAX;

  // Of the group at hand, kept for their memory.
  std::vector<Set> sets_;           // of all choosers, one after the other
  std::vector<uint32_t> set_ends_;  // of each chooser's, beginning with those before the first
  std::vector<Move> moves_;         // in the same order
  std::vector<uint32_t> move_ends_;
  std::vector<uint32_t> taken_, next_taken_;
  // Of the chooser at hand.
  std::vector<double> weight_;
  std::vector<Taking> of_set_, of_choice_;
  std::vector<uint32_t> kept_;
  std::vector<uint8_t> bit_;     // of each call, in masks; kNoBit if the chooser does not want it
  std::vector<uint32_t> known_;  // serial numbers of the chooser's sets, by hash; below `serial_`: of earlier choosers
  uint32_t serial_ = 1;          // of the chooser's first set
  std::vector<uint32_t> place_;  // of sets that are kept
  std::vector<double> merit_, sorted_;
  std::vector<double> nobody_;  // weight of so many calls that nobody has
};

}  // namespace spantap
