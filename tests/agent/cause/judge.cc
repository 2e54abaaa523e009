// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/cause/judge.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace spantap {
namespace {

constexpr uint64_t kTickNs = 10'000'000;
constexpr size_t kMaxFaults = 20;

}  // namespace

void Judge::Fault(const std::string& what, uint64_t id) {
  if (faults_.size() < kMaxFaults) faults_.push_back(absl::StrCat(what, " ", id));
}

void Judge::Tell(const ToldList& list) {
  for (const Told& told : list) Tell(told);
}

void Judge::Tell(const Told& told) {
  now_ns_ = std::max(now_ns_, told.ns);
  switch (told.kind) {
    case Told::kIncoming:
      incoming_[told.incoming.id] = told;
      finder_.OnIncoming(told.tgid, told.incoming);
      break;
    case Told::kOutgoing:
      outgoing_[told.outgoing.id] = told;
      finder_.OnOutgoing(told.tgid, told.outgoing);
      break;
    case Told::kResponse:
      finder_.OnResponse(told.tgid, told.id, told.at);
      break;
    case Told::kOver:
      finder_.OnOver(told.tgid, told.id, told.ns);
      break;
    case Told::kKnown:
      if (decided_.count(told.id) == 0) known_.insert(told.id);
      finder_.OnKnown(told.tgid, told.id, told.cause);
      break;
    case Told::kTime:
      finder_.OnTime(told.ns);
      break;
    case Told::kProcessEnd:
      finder_.OnProcessEnd(told.tgid);
      Take();
      for (const auto& [id, one] : incoming_) {
        if (one.tgid == told.tgid && gone_.count(id) == 0) Fault("not released at the end of its process:", id);
      }
      break;
  }
  if (ticks && now_ns_ >= time_ns_ + kTickNs) {
    time_ns_ = now_ns_;
    finder_.OnTime(now_ns_);
  }
  Take();
}

void Judge::Take() {
  for (const CauseDecision& decision : finder_.TakeDecisions()) Check(decision);
  for (const uint64_t id : finder_.TakeReleased()) {
    if (incoming_.count(id) == 0) Fault("released, never told:", id);
    if (!gone_.insert(id).second) Fault("released twice:", id);
    released_.push_back(id);
  }
}

void Judge::Check(const CauseDecision& decision) {
  decisions_.push_back(decision);
  const uint64_t id = decision.outgoing;
  const auto told = outgoing_.find(id);
  if (told == outgoing_.end()) return Fault("decided, never told:", id);
  if (!decided_.emplace(id, decision).second) Fault("decided twice:", id);
  if (known_.count(id) != 0) Fault("decided though known:", id);
  if (decision.tgid != told->second.tgid) Fault("another process's:", id);
  if (!(decision.confidence >= 0 && decision.confidence <= 1)) Fault("no probability:", id);
  if (decision.incoming == 0 && decision.confidence != 0) Fault("sure of nobody:", id);
  if (settings_.use_gates && decision.reason.empty() != (decision.confidence > 0.9))
    Fault("reason and confidence:", id);
  longest_wait_ns_ = std::max(longest_wait_ns_, now_ns_ - std::min(now_ns_, told->second.ns));
  if (decision.incoming == 0) return;
  const auto cause = incoming_.find(decision.incoming);
  if (cause == incoming_.end()) return Fault("caused by what was never told:", id);
  if (cause->second.tgid != decision.tgid) Fault("caused by another process's:", id);
  if (gone_.count(decision.incoming) != 0) Fault("caused by what was released:", id);
}

void Judge::End() {
  finder_.Flush();
  Take();
  for (const auto& [id, told] : outgoing_) {
    if (decided_.count(id) == 0 && known_.count(id) == 0) Fault("undecided:", id);
  }
  for (const auto& [id, told] : incoming_) finder_.OnProcessEnd(told.tgid);
  Take();
  for (const auto& [id, told] : incoming_) {
    if (gone_.count(id) == 0) Fault("never released:", id);
  }
}

const CauseDecision* Judge::Of(uint64_t outgoing) const {
  const auto it = decided_.find(outgoing);
  return it == decided_.end() ? nullptr : &it->second;
}

size_t Judge::Undecided() const {
  return static_cast<size_t>(std::count_if(outgoing_.begin(), outgoing_.end(), [&](const auto& entry) {
    return decided_.count(entry.first) == 0 && known_.count(entry.first) == 0;
  }));
}

Score Judge::ScoreOf(const Truth& truth, uint64_t from_ns) const {
  Score score;
  for (const auto& [outgoing, incoming] : truth) {
    const auto told = outgoing_.find(outgoing);
    const CauseDecision* const decision = Of(outgoing);
    if (told == outgoing_.end() || told->second.ns < from_ns || decision == nullptr) continue;
    ++score.all;
    score.right += decision->incoming == incoming;
    if (decision->confidence <= 0.9) continue;
    ++score.stated;
    score.wrong += decision->incoming != incoming;
  }
  return score;
}

}  // namespace spantap
