// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/assignment.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"

namespace spantap {
namespace {

constexpr double kFarAhead = 8;       // nats
constexpr double kNoRival = 0.02;     // odds
constexpr double kNegligible = 1e-7;  // share of the best at which a set is dropped
constexpr double kTooMuch = 1e-3;     // share of all at which dropping sets is told

uint64_t HashOf(uint32_t call) {
  uint64_t x = (call + 1) * 0x9e3779b97f4a7c15ull;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  return x ^ x >> 27;
}

bool Has(const Choice& choice, uint32_t call) {
  return std::find(choice.calls.begin(), choice.calls.end(), call) != choice.calls.end();
}

uint32_t RootOf(std::vector<uint32_t>& parents, uint32_t at) {
  while (parents[at] != at) at = parents[at] = parents[parents[at]];
  return at;
}

}  // namespace

// Which calls are taken, of those that later choosers may want.
struct Assignment::Set {
  absl::InlinedVector<uint32_t, 8> taken;
  double forward = 0;
  double backward = 0;
};

struct Assignment::Move {
  uint32_t from, to;
  uint32_t choice;
  double weight;
};

uint32_t Assignment::AddChooser(std::vector<Choice> choices) {
  Chooser chooser;
  chooser.probability.resize(choices.size());
  chooser.dropped.resize(choices.size());
  chooser.choices = std::move(choices);
  choosers_.push_back(std::move(chooser));
  return static_cast<uint32_t>(choosers_.size()) - 1;
}

void Assignment::Solve(uint32_t calls, double log_nobody, size_t max_sets, const std::vector<bool>& wanted,
                       size_t budget) {
  log_nobody_ = log_nobody;
  budget_ = budget;
  max_sets_ = max_sets;
  of_call_.assign(calls, {});
  last_.assign(calls, 0);
  for (uint32_t i = 0; i < choosers_.size(); ++i) {
    for (const Choice& choice : choosers_[i].choices) {
      for (const uint32_t call : choice.calls) {
        auto& of = of_call_[call];
        if (of.empty() || of.back() != i) of.push_back(i);
      }
    }
  }
  Settle();
  std::vector<uint32_t> parents(choosers_.size());
  std::iota(parents.begin(), parents.end(), 0);
  std::vector<uint32_t> first(calls, UINT32_MAX);
  for (uint32_t i = 0; i < choosers_.size(); ++i) {
    if (choosers_[i].settled) continue;
    for (size_t k = 0; k < choosers_[i].choices.size(); ++k) {
      if (choosers_[i].dropped[k]) continue;
      for (const uint32_t call : choosers_[i].choices[k].calls) {
        if (first[call] == UINT32_MAX) first[call] = i;
        parents[RootOf(parents, first[call])] = RootOf(parents, i);
        last_[call] = i;
      }
    }
  }
  std::vector<std::vector<uint32_t>> groups(choosers_.size());
  for (uint32_t i = 0; i < choosers_.size(); ++i) groups[RootOf(parents, i)].push_back(i);
  for (const auto& group : groups) {
    if (group.empty() || choosers_[group.front()].settled) continue;
    const bool asked = wanted.empty() || std::any_of(group.begin(), group.end(),
                                                     [&](uint32_t chooser) { return Wants(chooser, wanted); });
    if (asked && !SolveGroup(group)) GuessGroup(group);
  }
}

bool Assignment::Wants(uint32_t number, const std::vector<bool>& wanted) const {
  for (const Choice& choice : choosers_[number].choices) {
    for (const uint32_t call : choice.calls) {
      if (wanted[call]) return true;
    }
  }
  return false;
}

// One choice far ahead of the others, and far ahead of all that others could do with its calls.
bool Assignment::SettlesOn(uint32_t number) const {
  const Chooser& chooser = choosers_[number];
  if (chooser.dropped[0] || chooser.choices[0].calls.empty()) return false;
  for (size_t k = 1; k < chooser.choices.size(); ++k) {
    if (!chooser.dropped[k] && chooser.choices[k].log_weight > chooser.choices[0].log_weight - kFarAhead) return false;
  }
  for (const uint32_t call : chooser.choices[0].calls) {
    for (const uint32_t other : of_call_[call]) {
      if (other != number && LocalOdds(choosers_[other], call) > kNoRival) return false;
    }
  }
  return true;
}

void Assignment::Drop(uint32_t number, uint32_t call) {
  Chooser& chooser = choosers_[number];
  for (size_t k = 0; k < chooser.choices.size(); ++k) {
    if (Has(chooser.choices[k], call)) chooser.dropped[k] = true;
  }
}

void Assignment::Settle() {
  for (bool again = true; again;) {
    again = false;
    for (uint32_t i = 0; i < choosers_.size(); ++i) {
      Chooser& chooser = choosers_[i];
      if (chooser.settled || !SettlesOn(i)) continue;
      chooser.settled = chooser.summed = again = true;
      for (const uint32_t call : chooser.choices[0].calls) {
        for (const uint32_t other : of_call_[call]) {
          if (other != i) Drop(other, call);
        }
      }
      double all = 0;
      for (size_t k = 0; k < chooser.choices.size(); ++k) {
        chooser.probability[k] = std::exp(chooser.choices[k].log_weight - chooser.choices[0].log_weight);
        all += chooser.probability[k];
      }
      for (double& p : chooser.probability) p /= all;
    }
  }
}

bool Assignment::SolveGroup(const std::vector<uint32_t>& group) {
  std::vector<Sets> steps(1, Sets(1));
  std::vector<Moves> moves;
  steps[0][0].forward = 1;
  for (const uint32_t number : group) {
    const std::vector<double> weight = WeightsOf(choosers_[number]);
    if (steps.back().size() * weight.size() > budget_) return false;
    budget_ -= steps.back().size() * weight.size();
    Sets next;
    Moves made = MovesFrom(steps.back(), number, weight, next);
    if (DropNegligible(next)) Crowd(group, number, next);
    KeepReached(next, made);
    steps.push_back(std::move(next));
    moves.push_back(std::move(made));
  }
  GoBack(group, steps, moves);
  return true;
}

// Of the choices, relative to the best; a call that nobody has costs log_nobody.
std::vector<double> Assignment::WeightsOf(const Chooser& chooser) const {
  const auto log_weight = [&](size_t k) {
    return chooser.choices[k].log_weight - log_nobody_ * chooser.choices[k].calls.size();
  };
  double most = -1e300;
  for (size_t k = 0; k < chooser.choices.size(); ++k) {
    if (!chooser.dropped[k]) most = std::max(most, log_weight(k));
  }
  std::vector<double> weight(chooser.choices.size());
  for (size_t k = 0; k < weight.size(); ++k) {
    if (!chooser.dropped[k]) weight[k] = std::exp(log_weight(k) - most);
  }
  return weight;
}

// What the chooser's choices make of the sets; sets that come to the same are one.
Assignment::Moves Assignment::MovesFrom(const Sets& now, uint32_t number, const std::vector<double>& weight,
                                        Sets& next) const {
  Moves made;
  absl::flat_hash_map<uint64_t, uint32_t> known;
  decltype(Set::taken) taken;  // of what later choosers may want
  for (uint32_t s = 0; s < now.size(); ++s) {
    for (uint32_t k = 0; k < weight.size(); ++k) {
      if (weight[k] <= 0) continue;
      const Choice& choice = choosers_[number].choices[k];
      const auto& before = now[s].taken;
      if (std::any_of(before.begin(), before.end(), [&](uint32_t call) { return Has(choice, call); })) continue;
      taken.clear();
      uint64_t hash = 0;
      const auto take = [&](uint32_t call) {
        if (last_[call] <= number) return;
        taken.push_back(call);
        hash ^= HashOf(call);
      };
      std::for_each(before.begin(), before.end(), take);
      std::for_each(choice.calls.begin(), choice.calls.end(), take);
      const auto [it, fresh] = known.try_emplace(hash, static_cast<uint32_t>(next.size()));
      if (fresh) next.emplace_back().taken = taken;
      next[it->second].forward += now[s].forward * weight[k];
      made.push_back({s, it->second, k, weight[k]});
    }
  }
  return made;
}

// Sets that can be left out get no weight. True if that was too much to be silent about.
bool Assignment::DropNegligible(Sets& sets) const {
  // What a later chooser may still take counts for nothing yet.
  double all = 0, best = 0;
  std::vector<double> merit(sets.size());
  for (size_t i = 0; i < sets.size(); ++i) {
    merit[i] = sets[i].forward * std::exp(log_nobody_ * static_cast<double>(sets[i].taken.size()));
    all += merit[i], best = std::max(best, merit[i]);
  }
  double floor = best * kNegligible;
  if (sets.size() > max_sets_) {
    std::vector<double> sorted = merit;
    std::nth_element(sorted.begin(), sorted.begin() + max_sets_, sorted.end(), std::greater<>());
    floor = std::max(floor, sorted[max_sets_]);
  }
  double dropped = 0, left = 0;
  for (size_t i = 0; i < sets.size(); ++i) {
    if (merit[i] <= floor && merit[i] < best) dropped += merit[i], sets[i].forward = 0;
    left += sets[i].forward;
  }
  for (Set& set : sets) set.forward /= left;
  return dropped > kTooMuch * all;
}

// What was dropped is not gone on from.
void Assignment::KeepReached(Sets& sets, Moves& moves) {
  std::erase_if(moves, [&](const Move& move) { return sets[move.to].forward == 0; });
  std::vector<uint32_t> place(sets.size(), UINT32_MAX);
  Sets kept;
  for (uint32_t i = 0; i < sets.size(); ++i) {
    if (sets[i].forward == 0) continue;
    place[i] = static_cast<uint32_t>(kept.size());
    kept.push_back(std::move(sets[i]));
  }
  for (Move& move : moves) move.to = place[move.to];
  sets = std::move(kept);
}

// From the last chooser to the first: what each choice has in front of and behind it is its probability.
void Assignment::GoBack(const std::vector<uint32_t>& group, std::vector<Sets>& steps, const std::vector<Moves>& moves) {
  for (Set& set : steps.back()) set.backward = 1;
  for (size_t i = group.size(); i-- > 0;) {
    Chooser& chooser = choosers_[group[i]];
    chooser.summed = true;
    double all = 0;
    for (const Move& move : moves[i]) {
      const double onward = move.weight * steps[i + 1][move.to].backward;
      steps[i][move.from].backward += onward;
      const double through = steps[i][move.from].forward * onward;
      chooser.probability[move.choice] += through;
      all += through;
    }
    for (double& p : chooser.probability) p /= all;
    double most = 0;
    for (const Set& set : steps[i]) most = std::max(most, set.backward);
    for (Set& set : steps[i]) set.backward /= most;
  }
}

void Assignment::GuessGroup(const std::vector<uint32_t>& group) {
  for (const uint32_t number : group) {
    Chooser& chooser = choosers_[number];
    double most = -1e300, all = 0;
    for (size_t k = 0; k < chooser.choices.size(); ++k) {
      if (!chooser.dropped[k]) most = std::max(most, chooser.choices[k].log_weight);
    }
    for (size_t k = 0; k < chooser.choices.size(); ++k) {
      chooser.probability[k] = chooser.dropped[k] ? 0 : std::exp(chooser.choices[k].log_weight - most);
      all += chooser.probability[k];
    }
    for (double& p : chooser.probability) p /= all;
    chooser.crowded = chooser.summed = true;
  }
}

// All that compete for what was open when sets were dropped.
void Assignment::Crowd(const std::vector<uint32_t>& group, uint32_t at, const std::vector<Set>& sets) {
  uint32_t first = at, last = at;
  for (const Set& set : sets) {
    for (const uint32_t call : set.taken) {
      first = std::min(first, of_call_[call].front());
      last = std::max(last, last_[call]);
    }
  }
  for (const uint32_t number : group) choosers_[number].crowded |= number >= first && number <= last;
}

double Assignment::Of(uint32_t chooser, uint32_t call) const {
  const Chooser& one = choosers_[chooser];
  double with = 0;
  for (size_t i = 0; i < one.choices.size(); ++i) {
    if (Has(one.choices[i], call)) with += one.probability[i];
  }
  return with;
}

double Assignment::LocalOdds(const Chooser& chooser, uint32_t call) const {
  double most = -1e300, with = 0, without = 0;
  for (size_t k = 0; k < chooser.choices.size(); ++k) {
    if (!chooser.dropped[k]) most = std::max(most, chooser.choices[k].log_weight);
  }
  for (size_t k = 0; k < chooser.choices.size(); ++k) {
    const Choice& choice = chooser.choices[k];
    if (!chooser.dropped[k]) (Has(choice, call) ? with : without) += std::exp(choice.log_weight - most);
  }
  return with / std::max(without, 1e-12);
}

double Assignment::Local(uint32_t chooser, uint32_t call) const {
  double mine = 0, all = std::exp(log_nobody_);
  for (const uint32_t other : of_call_[call]) {
    const double odds = LocalOdds(choosers_[other], call);
    all += odds;
    if (other == chooser) mine = odds;
  }
  return mine / all;
}

std::vector<Assignment::Claim> Assignment::ClaimsOf(uint32_t call) const {
  std::vector<Claim> claims;
  if (call >= of_call_.size()) return claims;
  for (const uint32_t chooser : of_call_[call]) claims.push_back({chooser, Of(chooser, call)});
  return claims;
}

}  // namespace spantap
