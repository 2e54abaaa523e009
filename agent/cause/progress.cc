// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/progress.h"

#include <algorithm>

#include "agent/cause/window.h"

namespace spantap {

Progress::Progress(const Handler& handler) : at(handler.begin), read(handler.begin) { state.route = handler.route; }

void Progress::ReadUntil(uint64_t ns) {
  const auto when = [](const Call* call) { return call->answered ? call->answer.ns : UINT64_MAX; };
  while (!outstanding.empty()) {
    Call** const end = outstanding.data() + outstanding.size();
    Call** first = outstanding.data();
    for (Call** other = first + 1; other != end; ++other) {
      if (when(*other) < when(*first)) first = other;
    }
    const Call* const call = *first;
    if (when(call) > ns) return;
    if (call->answer.ns >= at.ns) {
      last = Last::kAnswer;
      last_label = call->label;
      at = read = call->answer;
      freed = call->connection;
      answered = call->id;
    }
    std::copy(first + 1, end, first);
    outstanding.pop_back();
    state.outstanding = !outstanding.empty();
  }
}

bool Progress::ReadNext(uint64_t ns) {
  uint64_t first = UINT64_MAX;
  for (const Call* call : outstanding) first = std::min(first, call->answered ? call->answer.ns : UINT64_MAX);
  if (first == UINT64_MAX || first > ns) return false;
  ReadUntil(first);
  return true;
}

void Progress::Send(Call& call) {
  state.bag.Add(call.label);
  outstanding.push_back(&call);
  state.outstanding = true;
  last = Last::kCall;
  last_label = call.label;
  at = call.sent;
  freed = answered = 0;
}

void Progress::Await(Call& call, uint8_t hop) {
  if (hop != kAnyHop) at.turn += hop;
  Imagine(call.label);
  outstanding.push_back(&call);
  freed = answered = 0;
}

void Progress::Imagine(Label label) {
  state.bag.Add(label);
  state.outstanding = true;
  last = Last::kCall;
  last_label = label;
}

bool Progress::Waited(const Call& call) const { return call.dequeued && call.connection != freed; }

bool Progress::Reuses(const Call& call) const { return call.reuses && !call.dequeued && call.connection != freed; }

StepContext Progress::Next(const Call& call) const {
  StepContext context = Next(call.label);
  context.dequeued = Waited(call);
  context.dialled = call.dialled;
  context.reuses = Reuses(call);
  return context;
}

}  // namespace spantap
