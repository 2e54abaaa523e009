// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/round.h"

#include <algorithm>

namespace spantap {
namespace {

constexpr double kLogNobody = -7;  // of a call that no handler made
constexpr size_t kBudget = 4000;   // steps of the sums in a round, 0.1 us each
constexpr size_t kBudgetPerCall = 60;
constexpr double kOutOfReach = 9;  // nats behind a handler's best timeline

}  // namespace

// What has been decided stays: calls of others are out, its own must be in.
bool DecisionRound::Possible(const Handler& handler, const Timeline& timeline) {
  size_t own = 0;
  for (const Call* call : timeline.calls) {
    if (call->nobodys || (call->owner != nullptr && call->owner != &handler)) return false;
    if (call->owner == nullptr && call->likely != nullptr && call->likely != &handler) return false;
    own += call->owner == &handler;
  }
  return own >= handler.own.size();
}

void DecisionRound::AddHandler(Handler& handler) {
  std::vector<Choice> some;
  auto& mine = choices_.emplace_back();
  for (const Timeline& timeline : handler.timelines) {
    if (!some.empty() && timeline.score < some.front().log_weight - kOutOfReach) break;
    if (!Possible(handler, timeline)) continue;
    std::vector<uint32_t> numbers;
    for (Call* call : timeline.calls) {
      if (call->owner != nullptr) continue;
      if (call->number == kNoNumber) {
        call->number = static_cast<uint32_t>(calls_.size());
        calls_.push_back(call);
      }
      numbers.push_back(call->number);
    }
    lists_.push_back(std::move(numbers));
    some.push_back({timeline.score, lists_.back()});
    mine.push_back(&timeline);
  }
  some.push_back({kLogUnknown, {}});
  mine.push_back(nullptr);
  assignment_.AddChooser(std::move(some));
}

void DecisionRound::NoteBest(uint32_t number) {
  double most = 0;
  const Timeline* best = nullptr;
  for (uint32_t k = 0; k < choices_[number].size(); ++k) {
    const double p = assignment_.OfChoice(number, k);
    if (p > most) most = p, best = choices_[number][k];
  }
  Handler& handler = *handlers_[number];
  handler.best = best == nullptr ? Timeline{} : *best;
  handler.best_probability = best == nullptr ? 0 : most;
  handler.best_worst = best == nullptr ? 0 : search_.WorstStep(handler, best->calls);
}

void DecisionRound::Solve(uint64_t until_ns) {
  for (Handler* handler : handlers_) {
    for (const Timeline& timeline : handler->timelines) {
      for (Call* call : timeline.calls) call->number = kNoNumber;
    }
  }
  for (Handler* handler : handlers_) AddHandler(*handler);
  std::vector<bool> wanted(calls_.size());
  for (size_t i = 0; i < calls_.size(); ++i) wanted[i] = !calls_[i]->decided && calls_[i]->sent.ns < until_ns;
  const size_t sets = learned_.Strained() ? Assignment::kMaxSets / 2 : Assignment::kMaxSets;
  const size_t budget = kBudget + kBudgetPerCall * static_cast<size_t>(std::count(wanted.begin(), wanted.end(), true));
  assignment_.Solve(static_cast<uint32_t>(calls_.size()), kLogNobody, sets, wanted, budget);
  for (uint32_t i = 0; i < handlers_.size(); ++i) {
    if (assignment_.Summed(i)) NoteBest(i);
  }
}

bool DecisionRound::OnlyTokenHolder(const Call& call, const Handler& holder, const std::vector<Handler*>& open) const {
  if (!settings_.use_tokens || !learned_.ShareToken(holder, call)) return false;
  const auto other = [&](const Handler* handler) {
    return handler != &holder && handler->begin.ns < call.sent.ns &&
           (!handler->over || handler->end_ns > call.sent.ns) && learned_.ShareToken(*handler, call);
  };
  return std::none_of(handlers_.begin(), handlers_.end(), other) && std::none_of(open.begin(), open.end(), other);
}

DecisionRound::Finding DecisionRound::Of(const Call& call, const std::vector<Handler*>& open) const {
  Finding found;
  if (call.number >= calls_.size() || calls_[call.number] != &call) {
    found.said.reason = "no_candidate";
    return found;
  }
  LinkEvidence evidence;
  uint32_t number = 0;
  for (const auto& claim : assignment_.ClaimsOf(call.number)) {
    evidence.crowded |= assignment_.Crowded(claim.chooser);
    if (claim.probability <= evidence.joint) continue;
    evidence.joint = claim.probability;
    number = claim.chooser;
    found.handler = handlers_[number];
  }
  if (found.handler == nullptr) {
    found.said.reason = "no_candidate";
    return found;
  }
  evidence.local = assignment_.Local(number, call.number);
  evidence.worst_step = found.handler->best_worst;
  evidence.agreed = call.proposed == found.handler && call.proposal == Proposal::kDue;
  evidence.token = OnlyTokenHolder(call, *found.handler, open);
  evidence.counted = call.sent.counted && found.handler->begin.counted;
  evidence.silent = call.proposed == nullptr;
  evidence.refused = learned_.strain.refused.value();
  evidence.unsimulated = learned_.strain.unsimulated.value();
  evidence.waited = learned_.strain.waited.value();
  evidence.disagreed = learned_.strain.disagreed.value();
  evidence.open = learned_.strain.open.value();
  found.joint = evidence.joint;
  found.by_token = evidence.token;
  found.said = State(evidence);
  if (!settings_.use_gates) found.said.confidence = std::min(evidence.joint, 1.0);
  return found;
}

}  // namespace spantap
