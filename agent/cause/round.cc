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
  some_.clear();
  auto& mine = choices_.emplace_back();
  mine.reserve(handler.timelines.size() + 1);
  for (const Timeline& timeline : handler.timelines) {
    if (!some_.empty() && timeline.score < some_.front().log_weight - kOutOfReach) break;
    if (!Possible(handler, timeline)) continue;
    auto& numbers = lists_.emplace_back();
    for (Call* call : timeline.calls) {
      if (call->owner != nullptr) continue;
      if (call->number == kNoNumber) {
        call->number = static_cast<uint32_t>(calls_.size());
        calls_.push_back(call);
      }
      numbers.push_back(call->number);
    }
    some_.push_back({timeline.score, numbers});
    mine.push_back(&timeline);
  }
  some_.push_back({kLogUnknown, {}});
  mine.push_back(nullptr);
  assignment_.AddChooser(some_);
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
}

void DecisionRound::NoteWanted() {
  wanted_.assign(calls_.size(), {});
  for (uint32_t i = 0; i < handlers_.size(); ++i) {
    if (!assignment_.Summed(i)) continue;
    for (uint32_t k = 0; k < choices_[i].size(); ++k) {
      if (choices_[i][k] == nullptr) continue;
      for (const Call* call : choices_[i][k]->calls) {
        if (call->owner != nullptr) continue;
        Wanted& wanted = wanted_[call->number];
        wanted.all += assignment_.OfChoice(i, k);
        wanted.least = std::min(wanted.least, handlers_[i]->best_probability);
      }
    }
  }
}

void DecisionRound::Solve(uint64_t until_ns) {
  for (Handler* handler : handlers_) {
    for (const Timeline& timeline : handler->timelines) {
      for (Call* call : timeline.calls) call->number = kNoNumber;
    }
  }
  for (Handler* handler : handlers_) {
    AddHandler(*handler);
    if (handler->dropped > kNothing) dropping_.push_back(handler);
  }
  std::vector<bool> wanted(calls_.size());
  for (size_t i = 0; i < calls_.size(); ++i) wanted[i] = !calls_[i]->decided && calls_[i]->sent.ns < until_ns;
  const size_t sets = learned_.Strained() ? Assignment::kMaxSets / 2 : Assignment::kMaxSets;
  const size_t budget = kBudget + kBudgetPerCall * static_cast<size_t>(std::count(wanted.begin(), wanted.end(), true));
  assignment_.Solve(static_cast<uint32_t>(calls_.size()), kLogNobody, sets, wanted, budget);
  for (uint32_t i = 0; i < handlers_.size(); ++i) {
    if (assignment_.Summed(i)) NoteBest(i);
  }
  NoteWanted();
}

bool DecisionRound::OnlyTokenHolder(const Call& call, const Handler& holder, const std::vector<Handler*>& open) const {
  if (!settings_.use_tokens || !learned_.ShareToken(holder, call)) return false;
  const auto other = [&](const Handler* handler) {
    return handler != &holder && handler->begin.ns < call.sent.ns &&
           (!handler->over || handler->end_ns > call.sent.ns) && learned_.ShareToken(*handler, call);
  };
  return std::none_of(handlers_.begin(), handlers_.end(), other) && std::none_of(open.begin(), open.end(), other);
}

void DecisionRound::LookAtRivals(const Claims& claims, const Call& call, uint32_t number, double joint,
                                 Evidence& evidence) const {
  double all = 0;
  for (const auto& claim : claims) all += claim.probability;
  evidence[Sign::kLocal] = Digits(assignment_.Local(number, call.number));
  evidence[Sign::kRivals] = static_cast<float>(claims.size());
  evidence[Sign::kRivalry] = Digits(1 - (all - joint));
  evidence[Sign::kClaimed] = Digits(all);
  double least = 1, claimed = 1;
  for (const Timeline* timeline : choices_[number]) {
    if (timeline == nullptr) continue;
    for (const Call* other : timeline->calls) {
      if (other->owner != nullptr) continue;
      least = std::min(least, wanted_[other->number].least);
      claimed = std::min(claimed, wanted_[other->number].all);
    }
  }
  evidence[Sign::kNeighbour] = Digits(least);
  evidence[Sign::kUnclaimed] = static_cast<float>(1 - claimed);
}

// Of the handlers that were open when the call was sent, but for one.
double DecisionRound::MostDroppedBy(const Call& call, const Handler& but) const {
  double most = kNothing;
  for (const Handler* handler : dropping_) {
    if (handler == &but || handler->begin.ns > call.sent.ns || handler->end_ns < call.sent.ns) continue;
    most = std::max(most, DroppedOf(*handler));
  }
  return most;
}

LinkEvidence DecisionRound::EvidenceOf(const Claims& claims, const Call& call, uint32_t number, double joint,
                                       const std::vector<Handler*>& open) const {
  const Handler& handler = *handlers_[number];
  LinkEvidence evidence;
  evidence.joint = joint;
  evidence.agreed = call.proposed == &handler && call.proposal == Proposal::kDue;
  evidence.token = OnlyTokenHolder(call, handler, open);
  evidence.counted = call.sent.counted && handler.begin.counted;
  evidence.refused = learned_.strain.refused.value();
  evidence.nobodys = learned_.strain.nobodys.value();
  Evidence& signs = evidence.signs;
  signs[Sign::kJoint] = Digits(joint);
  signs[Sign::kCrowded] =
      std::any_of(claims.begin(), claims.end(), [&](const auto& claim) { return assignment_.Crowded(claim.chooser); });
  if (joint <= kSure) return evidence;
  LookAtRivals(claims, call, number, joint, signs);
  LookAtTimelines(handler, call, signs);
  LookAtSteps(search_, learned_, handler, call, signs);
  LookAtSimulation(handler, call, signs);
  LookAtStrain(learned_, handler, call, signs);
  signs[Sign::kToken] = evidence.token;
  signs[Sign::kOpen] = static_cast<float>(call.open);
  signs[Sign::kAlikeInTurn] = static_cast<float>(index_.InTurn(call.label, call.sent.tid, call.sent.turn).size());
  signs[Sign::kRivalsDropped] = static_cast<float>(MostDroppedBy(call, handler));
  signs[Sign::kAlike] = static_cast<float>(index_.Between(call.label, handler.begin.ns, handler.end_ns).size());
  return evidence;
}

DecisionRound::Finding DecisionRound::Of(const Call& call, const std::vector<Handler*>& open) const {
  Finding found;
  found.said.reason = "no_candidate";
  if (call.number >= calls_.size() || calls_[call.number] != &call) return found;
  uint32_t number = 0;
  const Claims claims = assignment_.ClaimsOf(call.number);
  for (const auto& claim : claims) {
    if (claim.probability <= found.joint) continue;
    found.joint = claim.probability;
    number = claim.chooser;
    found.handler = handlers_[number];
  }
  if (found.handler == nullptr) return found;
  const LinkEvidence evidence = EvidenceOf(claims, call, number, found.joint, open);
  if (settings_.on_evidence) settings_.on_evidence(call.id, found.handler->id, evidence.signs);
  found.said = State(evidence);
  found.by_token = evidence.token;
  if (!settings_.use_gates) found.said.confidence = std::min(evidence.joint, 1.0);
  return found;
}

}  // namespace spantap
