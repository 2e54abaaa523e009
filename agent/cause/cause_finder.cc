// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/cause_finder.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "agent/cause/cause_keeper.h"
#include "agent/cause/process_causes.h"

namespace spantap {

struct CauseFinder::State {
  explicit State(const CauseSettings& cause_settings) : settings(cause_settings) {}

  ProcessCauses& Of(uint32_t tgid) {
    if (processes.size() >= settings.max_processes && !processes.contains(tgid)) Evict();
    auto& process = processes[tgid];
    if (process == nullptr) {
      process = std::make_unique<ProcessCauses>(tgid, settings, counters, output);
      keeper.OnBegin(tgid, processes);
    }
    return *process;
  }
  // The longest unused one; what is open there is decided, what it learned is remembered, if anything is.
  void Evict() {
    const auto oldest = std::min_element(processes.begin(), processes.end(), [](const auto& a, const auto& b) {
      return a.second->last_used_ns() < b.second->last_used_ns();
    });
    oldest->second->End();
    keeper.Take(oldest->first, *oldest->second);
    processes.erase(oldest);
    ++counters.forgotten;
  }
  ProcessCauses* Find(uint32_t tgid) {
    const auto it = processes.find(tgid);
    return it == processes.end() ? nullptr : it->second.get();
  }

  const CauseSettings settings;
  CauseCounters counters;
  CauseOutput output;
  CauseKeeper::Processes processes;
  CauseKeeper keeper{counters};
  std::vector<uint32_t> to_memorize;
};

CauseFinder::CauseFinder(const CauseSettings& settings) : state_(std::make_unique<State>(settings)) {}
CauseFinder::~CauseFinder() = default;

void CauseFinder::OnIncoming(uint32_t tgid, IncomingRequest request) {
  state_->Of(tgid).OnIncoming(std::move(request));
}
void CauseFinder::OnOutgoing(uint32_t tgid, OutgoingRequest request) {
  state_->Of(tgid).OnOutgoing(std::move(request));
}

void CauseFinder::OnResponse(uint32_t tgid, uint64_t id, const Moment& at) {
  if (ProcessCauses* const process = state_->Find(tgid)) process->OnResponse(id, at);
}
void CauseFinder::OnOver(uint32_t tgid, uint64_t id, uint64_t ns) {
  if (ProcessCauses* const process = state_->Find(tgid)) process->OnOver(id, ns);
}
void CauseFinder::OnKnown(uint32_t tgid, uint64_t outgoing, uint64_t incoming) {
  if (ProcessCauses* const process = state_->Find(tgid)) process->OnKnown(outgoing, incoming);
}
void CauseFinder::OnProcessEnd(uint32_t tgid) {
  if (ProcessCauses* const process = state_->Find(tgid)) {
    process->End();
    state_->keeper.Take(tgid, *process);
  }
  state_->keeper.OnEnd(tgid);
  state_->processes.erase(tgid);
}
void CauseFinder::OnTime(uint64_t ns) {
  for (auto& [tgid, process] : state_->processes) process->OnTime(ns);
}
void CauseFinder::Flush() {
  for (auto& [tgid, process] : state_->processes) process->Flush();
}
std::vector<CauseDecision> CauseFinder::TakeDecisions() { return std::exchange(state_->output.decisions, {}); }
std::vector<uint64_t> CauseFinder::TakeReleased() { return std::exchange(state_->output.released, {}); }
const CauseCounters& CauseFinder::counters() const { return state_->counters; }

void CauseFinder::Remember(CauseMemory memory) { state_->keeper.Begin(std::move(memory)); }
void CauseFinder::OnProgram(uint32_t tgid, uint64_t program) {
  state_->keeper.OnProgram(tgid, program, state_->processes);
}
bool CauseFinder::Memorize(size_t processes) {
  auto& left = state_->to_memorize;
  if (left.empty()) {
    for (const auto& [tgid, process] : state_->processes) left.push_back(tgid);
    std::sort(left.begin(), left.end(), std::greater<>());
  }
  for (; processes > 0 && !left.empty(); --processes, left.pop_back()) {
    if (const ProcessCauses* const process = state_->Find(left.back())) state_->keeper.Take(left.back(), *process);
  }
  return left.empty();
}
const CauseMemory& CauseFinder::memory() const { return state_->keeper.memory(); }

}  // namespace spantap
