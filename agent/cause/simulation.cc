// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/simulation.h"

#include <algorithm>

namespace spantap {
namespace {

constexpr float kLikely = 0.3f;  // share of what follows at which it is expected

bool Behind(uint32_t turn, uint32_t other) { return static_cast<int32_t>(turn - other) < 0; }

}  // namespace

void Simulation::OnIncoming(Handler& handler) {
  handler.simulated = Progress(handler);
  Expect(handler);
}

// What the handler is to do next, if that follows at once and always in the same number of turns.
void Simulation::Expect(Handler& handler) {
  const Progress& at = handler.simulated;
  const Program::NextLabels* const labels = learned_.program.NextOf(at.state);
  if (labels == nullptr) return;
  float all = 0;
  for (const auto& [label, seen] : *labels) all += seen;
  for (const auto& [label, seen] : *labels) {
    if (label == kReply || seen < kLikely * all) continue;
    const StepContext context = at.Next(label, false);
    if (!learned_.odds.Immediate(context)) continue;
    const uint8_t hop = learned_.odds.HopOf(context);
    if (hop == kAnyHop || !at.at.counted) continue;
    if (expected_.size() <= label) expected_.resize(label + 1);
    auto& list = expected_[label];
    if (list.size() >= kMaxExpected) list.erase(list.begin());
    list.push_back({&handler, at.at.tid, at.at.turn + hop, hop});
  }
}

void Simulation::Unexpect(const Handler& handler) {
  for (auto& list : expected_) {
    list.erase(std::remove_if(list.begin(), list.end(), [&](const Expected& entry) { return entry.handler == &handler; }),
               list.end());
  }
}

void Simulation::Take(Call& call, Handler& handler, Proposal kind) {
  call.proposed = &handler;
  call.proposal = kind;
  handler.proposed.push_back(&call);
  handler.simulated.ReadUntil(call.sent.ns);
  handler.simulated.Send(call);
  Expect(handler);
}

void Simulation::OnOutgoing(Call& call, const std::vector<Handler*>& open) {
  if (call.label < expected_.size()) {
    auto& list = expected_[call.label];
    auto found = list.end();
    for (auto it = list.begin(); it != list.end(); ++it) {
      if (it->tid != call.sent.tid || it->due != call.sent.turn) continue;
      if (found == list.end() || (it->hop == 0 && found->hop == 0)) found = it;  // the most recent, else the first
    }
    Proposal kind = Proposal::kDue;
    if (found == list.end() && call.dequeued) {
      found = std::find_if(list.begin(), list.end(), [&](const Expected& entry) {
        return entry.tid != call.sent.tid || !Behind(call.sent.turn, entry.due);
      });
      kind = Proposal::kQueue;
    }
    if (found != list.end()) {
      Handler& handler = *found->handler;
      list.erase(found);
      return Take(call, handler, kind);
    }
  }
  Handler* only = nullptr;
  for (Handler* handler : open) {
    Progress& at = handler->simulated;
    const Program::NextLabels* const labels = learned_.program.NextOf(at.state);
    if (labels == nullptr) continue;
    const bool waits = std::any_of(labels->begin(), labels->end(), [&](const auto& next) {
      return next.first == call.label && !learned_.odds.Immediate(at.Next(call.label, false));
    });
    if (!waits) continue;
    if (only != nullptr) return;
    only = handler;
  }
  if (only != nullptr) Take(call, *only, Proposal::kAlone);
}

void Simulation::OnAnswer(Call& call) {
  if (call.proposed == nullptr || call.proposed->over) return;
  call.proposed->simulated.ReadUntil(call.answer.ns);
  Expect(*call.proposed);
}

void Simulation::OnOver(Handler& handler) { Unexpect(handler); }

void Simulation::OnKnown(Call& call, Handler* handler) {
  if (call.proposed == handler) return;
  if (Handler* const wrong = call.proposed; wrong != nullptr) {
    wrong->proposed.erase(std::find(wrong->proposed.begin(), wrong->proposed.end(), &call));
    Rebuild(*wrong);
  }
  call.proposed = nullptr;
  if (handler == nullptr || handler->over) return;
  Unexpect(*handler);
  Take(call, *handler, Proposal::kKnown);
}

void Simulation::Rebuild(Handler& handler) {
  handler.simulated = Progress(handler);
  for (Call* call : handler.proposed) {
    handler.simulated.ReadUntil(call->sent.ns);
    handler.simulated.Send(*call);
  }
  handler.simulated.ReadUntil(UINT64_MAX - 1);
}

}  // namespace spantap
