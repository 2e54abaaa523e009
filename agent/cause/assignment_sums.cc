// SPDX-License-Identifier: Apache-2.0
//
// The sums of a group: forward over its choosers, from set to set of taken calls, and back.
#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "agent/cause/assignment.h"

namespace spantap {
namespace {

constexpr double kNegligible = 1e-7;  // share of the best at which a set is dropped
constexpr double kTooMuch = 1e-3;     // share of all at which dropping sets is told
constexpr uint8_t kNoBit = 0xff;
constexpr uint32_t kNone = 0xffffffff;

uint64_t HashOf(uint32_t call) {
  uint64_t x = (call + 1) * 0x9e3779b97f4a7c15ull;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  return x ^ x >> 27;
}

}  // namespace

bool Assignment::SolveGroup(Group group) {
  sets_.assign(1, {});
  sets_[0].forward = 1;
  set_ends_.assign({0, 1});
  moves_.clear();
  move_ends_.assign(1, 0);
  taken_.clear();
  bit_.resize(last_.size(), kNoBit);
  for (const uint32_t number : group) {
    Weigh(choosers_[number]);
    const size_t steps = (sets_.size() - set_ends_.end()[-2]) * weight_.size();
    if (steps > budget_) return false;
    budget_ -= steps;
    MakeMoves(number);
    if (DropNegligible()) Crowd(group, number);
    KeepReached();
  }
  GoBack(group);
  return true;
}

// The choices, relative to the best; a call that nobody has costs log_nobody.
void Assignment::Weigh(const Chooser& chooser) {
  const auto log_weight = [&](const Weighed& choice) { return choice.log_weight - log_nobody_ * choice.calls.size(); };
  double most = -1e300;
  for (const Weighed& choice : chooser.choices) {
    if (!choice.dropped) most = std::max(most, log_weight(choice));
  }
  weight_.clear();
  for (const Weighed& choice : chooser.choices) {
    weight_.push_back(choice.dropped ? 0 : std::exp(log_weight(choice) - most));
  }
}

Assignment::Taking Assignment::Take(absl::Span<const uint32_t> calls, uint32_t number) {
  Taking taking;
  taking.begin = static_cast<uint32_t>(kept_.size());
  for (const uint32_t call : calls) {
    if (bit_[call] != kNoBit) taking.mask |= 1ull << bit_[call];
    if (last_[call] <= number) continue;
    kept_.push_back(call);
    taking.hash ^= HashOf(call);
  }
  taking.count = static_cast<uint32_t>(kept_.size()) - taking.begin;
  return taking;
}

// Calls may share a bit.
bool Assignment::Collide(const Set& set, const Choice& choice) const {
  const auto end = taken_.begin() + set.begin + set.count;
  return std::find_first_of(taken_.begin() + set.begin, end, choice.calls.begin(), choice.calls.end()) != end;
}

// The number of the set with that hash, which may be new.
uint32_t Assignment::Reach(uint64_t hash, uint32_t from, uint32_t choice) {
  const size_t mask = known_.size() - 1;
  const uint32_t begin = set_ends_.back();
  size_t at = hash & mask;
  for (; known_[at] >= serial_; at = (at + 1) & mask) {
    const uint32_t number = begin + known_[at] - serial_;
    if (sets_[number].hash == hash) return number;
  }
  const auto number = static_cast<uint32_t>(sets_.size());
  known_[at] = serial_ + number - begin;
  Set& fresh = sets_.emplace_back();
  fresh.hash = hash;
  fresh.from = from, fresh.choice = choice;
  return number;
}

// What the chooser's choices make of the sets; sets that come to the same are one.
void Assignment::MakeMoves(uint32_t number) {
  const auto& choices = choosers_[number].choices;
  const uint32_t begin = set_ends_.end()[-2], end = set_ends_.back();
  uint32_t bits = 0;
  for (const Choice& choice : choices) {
    for (const uint32_t call : choice.calls) {
      if (bit_[call] == kNoBit) bit_[call] = bits++ % 64;
    }
  }
  kept_.clear();
  of_choice_.clear();
  for (const Choice& choice : choices) of_choice_.push_back(Take(choice.calls, number));
  of_set_.clear();
  for (uint32_t s = begin; s < end; ++s) {
    of_set_.push_back(Take({taken_.data() + sets_[s].begin, sets_[s].count}, number));
  }
  const size_t room = std::bit_ceil(2 * (end - begin) * choices.size());
  if (known_.size() < room) known_.assign(room, 0);
  for (uint32_t s = begin; s < end; ++s) {
    const Taking& before = of_set_[s - begin];
    for (uint32_t k = 0; k < choices.size(); ++k) {
      if (weight_[k] <= 0) continue;
      const Taking& more = of_choice_[k];
      if ((before.mask & more.mask) != 0 && (bits <= 64 || Collide(sets_[s], choices[k]))) continue;
      const uint32_t to = Reach(before.hash ^ more.hash, s, k);
      sets_[to].forward += sets_[s].forward * weight_[k];
      moves_.push_back({s, to, k, weight_[k]});
    }
  }
  for (const Choice& choice : choices) {
    for (const uint32_t call : choice.calls) bit_[call] = kNoBit;
  }
  serial_ += static_cast<uint32_t>(sets_.size()) - end;
}

// Sets that can be left out get no weight. True if that was too much to be silent about.
bool Assignment::DropNegligible() {
  // What a later chooser may still take counts for nothing yet.
  const uint32_t before = set_ends_.end()[-2], begin = set_ends_.back();
  double all = 0, best = 0;
  merit_.clear();
  for (size_t i = begin; i < sets_.size(); ++i) {
    const size_t taken = of_set_[sets_[i].from - before].count + of_choice_[sets_[i].choice].count;
    while (nobody_.size() <= taken) nobody_.push_back(std::exp(log_nobody_ * static_cast<double>(nobody_.size())));
    merit_.push_back(sets_[i].forward * nobody_[taken]);
    all += merit_.back(), best = std::max(best, merit_.back());
  }
  double floor = best * kNegligible;
  if (merit_.size() > max_sets_) {
    sorted_ = merit_;
    std::nth_element(sorted_.begin(), sorted_.begin() + max_sets_, sorted_.end(), std::greater<>());
    floor = std::max(floor, sorted_[max_sets_]);
  }
  double dropped = 0, left = 0;
  for (size_t i = 0; i < merit_.size(); ++i) {
    Set& set = sets_[begin + i];
    if (merit_[i] <= floor && merit_[i] < best) dropped += merit_[i], set.forward = 0;
    left += set.forward;
  }
  for (size_t i = begin; i < sets_.size(); ++i) sets_[i].forward /= left;
  return dropped > kTooMuch * all;
}

// All that compete for what was open when sets were dropped.
void Assignment::Crowd(Group group, uint32_t at) {
  const uint32_t before = set_ends_.end()[-2];
  uint32_t first = at, last = at;
  const auto add = [&](Taking& taking) {
    if (std::exchange(taking.looked, true)) return;
    for (uint32_t i = taking.begin; i < taking.begin + taking.count; ++i) {
      first = std::min(first, UsesOf(kept_[i]).front().chooser);
      last = std::max(last, last_[kept_[i]]);
    }
  };
  for (size_t i = set_ends_.back(); i < sets_.size(); ++i) {
    add(of_set_[sets_[i].from - before]);
    add(of_choice_[sets_[i].choice]);
  }
  for (const uint32_t number : group) choosers_[number].crowded |= number >= first && number <= last;
}

// What was dropped is not gone on from.
void Assignment::KeepReached() {
  const uint32_t before = set_ends_.end()[-2], begin = set_ends_.back();
  next_taken_.clear();
  place_.assign(sets_.size() - begin, kNone);
  uint32_t end = begin;
  for (uint32_t i = begin; i < sets_.size(); ++i) {
    if (sets_[i].forward == 0) continue;
    place_[i - begin] = end;
    Set& kept = sets_[end++] = sets_[i];
    kept.begin = static_cast<uint32_t>(next_taken_.size());
    for (const Taking& taking : {of_set_[kept.from - before], of_choice_[kept.choice]}) {
      const auto first = kept_.begin() + taking.begin;
      next_taken_.insert(next_taken_.end(), first, first + taking.count);
    }
    kept.count = static_cast<uint32_t>(next_taken_.size()) - kept.begin;
  }
  sets_.resize(end);
  std::swap(taken_, next_taken_);
  size_t left = move_ends_.back();
  for (size_t i = left; i < moves_.size(); ++i) {
    const uint32_t to = place_[moves_[i].to - begin];
    if (to == kNone) continue;
    moves_[left] = moves_[i];
    moves_[left++].to = to;
  }
  moves_.resize(left);
  set_ends_.push_back(end);
  move_ends_.push_back(static_cast<uint32_t>(left));
}

// From the last chooser to the first: what each choice has in front of and behind it is its probability.
void Assignment::GoBack(Group group) {
  for (size_t i = set_ends_.end()[-2]; i < sets_.size(); ++i) sets_[i].backward = 1;
  for (size_t n = group.size(); n-- > 0;) {
    Chooser& chooser = choosers_[group[n]];
    chooser.summed = true;
    double all = 0;
    for (size_t i = move_ends_[n]; i < move_ends_[n + 1]; ++i) {
      const Move& move = moves_[i];
      const double onward = move.weight * sets_[move.to].backward;
      sets_[move.from].backward += onward;
      const double through = sets_[move.from].forward * onward;
      chooser.choices[move.choice].probability += through;
      all += through;
    }
    for (Weighed& choice : chooser.choices) choice.probability /= all;
    double most = 0;
    for (size_t i = set_ends_[n]; i < set_ends_[n + 1]; ++i) most = std::max(most, sets_[i].backward);
    for (size_t i = set_ends_[n]; i < set_ends_[n + 1]; ++i) sets_[i].backward /= most;
  }
}

}  // namespace spantap
