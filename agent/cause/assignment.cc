// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/assignment.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace spantap {
namespace {

constexpr double kFarAhead = 8;    // nats
constexpr double kNoRival = 0.02;  // odds

uint32_t RootOf(std::vector<uint32_t>& parents, uint32_t at) {
  while (parents[at] != at) at = parents[at] = parents[parents[at]];
  return at;
}

}  // namespace

uint32_t Assignment::AddChooser(absl::Span<const Choice> choices) {
  choosers_.emplace_back().choices = std::vector<Weighed>(choices.begin(), choices.end());
  return static_cast<uint32_t>(choosers_.size()) - 1;
}

void Assignment::IndexUses(uint32_t calls) {
  ends_.assign(calls + 1, 0);
  for (const Chooser& chooser : choosers_) {
    for (const Choice& choice : chooser.choices) {
      for (const uint32_t call : choice.calls) ++ends_[call + 1];
    }
  }
  std::partial_sum(ends_.begin(), ends_.end(), ends_.begin());
  uses_.resize(ends_.back());
  // Each begin moves on to the end, which is the next one's begin.
  for (uint32_t i = 0; i < choosers_.size(); ++i) {
    for (uint32_t k = 0; k < choosers_[i].choices.size(); ++k) {
      for (const uint32_t call : choosers_[i].choices[k].calls) uses_[ends_[call]++] = {i, k};
    }
  }
}

absl::Span<const Assignment::Use> Assignment::UsesOf(uint32_t call) const {
  const uint32_t begin = call == 0 ? 0 : ends_[call - 1];
  return {uses_.data() + begin, ends_[call] - begin};
}

void Assignment::Solve(uint32_t calls, double log_nobody, size_t max_sets, const std::vector<bool>& wanted,
                       size_t budget) {
  log_nobody_ = log_nobody;
  nobody_.clear();
  budget_ = budget;
  max_sets_ = max_sets;
  IndexUses(calls);
  Settle();
  MakeGroups(calls);
  uint32_t begin = 0;
  for (const uint32_t end : group_ends_) {
    const Group group = absl::MakeConstSpan(members_).subspan(begin, end - begin);
    begin = end;
    if (group.empty() || choosers_[group.front()].settled) continue;
    const bool asked = wanted.empty() || std::any_of(group.begin(), group.end(),
                                                     [&](uint32_t chooser) { return Wants(chooser, wanted); });
    if (asked && !SolveGroup(group)) GuessGroup(group);
  }
}

// Those that share calls, whatever is settled left out; by the last of them.
void Assignment::MakeGroups(uint32_t calls) {
  last_.assign(calls, 0);
  std::vector<uint32_t> parents(choosers_.size());
  std::iota(parents.begin(), parents.end(), 0);
  std::vector<uint32_t> first(calls, UINT32_MAX);
  for (uint32_t i = 0; i < choosers_.size(); ++i) {
    if (choosers_[i].settled) continue;
    for (const Weighed& choice : choosers_[i].choices) {
      if (choice.dropped) continue;
      for (const uint32_t call : choice.calls) {
        if (first[call] == UINT32_MAX) first[call] = i;
        parents[RootOf(parents, first[call])] = RootOf(parents, i);
        last_[call] = i;
      }
    }
  }
  group_ends_.assign(choosers_.size() + 1, 0);
  for (uint32_t i = 0; i < choosers_.size(); ++i) ++group_ends_[RootOf(parents, i) + 1];
  std::partial_sum(group_ends_.begin(), group_ends_.end(), group_ends_.begin());
  members_.resize(choosers_.size());
  // Each begin moves on to the end.
  for (uint32_t i = 0; i < choosers_.size(); ++i) members_[group_ends_[RootOf(parents, i)]++] = i;
  group_ends_.pop_back();
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
bool Assignment::SettlesOn(uint32_t number) {
  const Chooser& chooser = choosers_[number];
  const Weighed& best = chooser.choices[0];
  if (best.dropped || best.calls.empty()) return false;
  for (size_t k = 1; k < chooser.choices.size(); ++k) {
    const Weighed& other = chooser.choices[k];
    if (!other.dropped && other.log_weight > best.log_weight - kFarAhead) return false;
  }
  for (const uint32_t call : best.calls) {
    uint32_t before = number;
    for (const Use& use : UsesOf(call)) {
      if (use.chooser == number || use.chooser == before) continue;
      before = use.chooser;
      if (LocalOdds(before, call) > kNoRival) return false;
    }
  }
  return true;
}

void Assignment::SettleOn(uint32_t number) {
  Chooser& chooser = choosers_[number];
  chooser.settled = chooser.summed = true;
  for (const uint32_t call : chooser.choices[0].calls) {
    for (const Use& use : UsesOf(call)) {
      if (use.chooser == number) continue;
      choosers_[use.chooser].choices[use.choice].dropped = true;
      choosers_[use.chooser].weighed = false;
    }
  }
  double all = 0;
  for (Weighed& choice : chooser.choices) {
    choice.probability = std::exp(choice.log_weight - chooser.choices[0].log_weight);
    all += choice.probability;
  }
  for (Weighed& choice : chooser.choices) choice.probability /= all;
}

void Assignment::Settle() {
  for (bool again = true; again;) {
    again = false;
    for (uint32_t i = 0; i < choosers_.size(); ++i) {
      if (choosers_[i].settled || !SettlesOn(i)) continue;
      SettleOn(i);
      again = true;
    }
  }
}

void Assignment::GuessGroup(Group group) {
  for (const uint32_t number : group) {
    Chooser& chooser = choosers_[number];
    if (!chooser.weighed) WeighAlone(chooser);
    double all = 0;
    for (const Weighed& choice : chooser.choices) all += choice.alone;
    for (Weighed& choice : chooser.choices) choice.probability = choice.alone / all;
    chooser.crowded = chooser.summed = true;
  }
}

double Assignment::Of(uint32_t chooser, uint32_t call) const {
  double with = 0;
  for (const Use& use : UsesOf(call)) {
    if (use.chooser == chooser) with += choosers_[chooser].choices[use.choice].probability;
  }
  return with;
}

void Assignment::WeighAlone(Chooser& chooser) {
  double most = -1e300;
  for (const Weighed& choice : chooser.choices) {
    if (!choice.dropped) most = std::max(most, choice.log_weight);
  }
  for (Weighed& choice : chooser.choices) choice.alone = choice.dropped ? 0 : std::exp(choice.log_weight - most);
  chooser.weighed = true;
}

double Assignment::LocalOdds(uint32_t number, uint32_t call) const {
  Chooser& chooser = choosers_[number];
  if (!chooser.weighed) WeighAlone(chooser);
  const auto uses = UsesOf(call);
  auto use = std::find_if(uses.begin(), uses.end(), [=](const Use& some) { return some.chooser == number; });
  double with = 0, without = 0;
  for (uint32_t k = 0; k < chooser.choices.size(); ++k) {
    const bool has = use != uses.end() && use->chooser == number && use->choice == k;
    (has ? with : without) += chooser.choices[k].alone;
    use += has;
  }
  return with / std::max(without, 1e-12);
}

double Assignment::Local(uint32_t chooser, uint32_t call) const {
  double mine = 0, all = std::exp(log_nobody_);
  uint32_t before = UINT32_MAX;
  for (const Use& use : UsesOf(call)) {
    if (std::exchange(before, use.chooser) == use.chooser) continue;
    const double odds = LocalOdds(use.chooser, call);
    all += odds;
    if (use.chooser == chooser) mine = odds;
  }
  return mine / all;
}

Assignment::Claims Assignment::ClaimsOf(uint32_t call) const {
  Claims claims;
  if (call >= last_.size()) return claims;
  for (const Use& use : UsesOf(call)) {
    if (claims.empty() || claims.back().chooser != use.chooser) claims.push_back({use.chooser, 0});
    claims.back().probability += choosers_[use.chooser].choices[use.choice].probability;
  }
  return claims;
}

}  // namespace spantap
