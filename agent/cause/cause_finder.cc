// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/cause_finder.h"

#include <algorithm>
#include <map>
#include <utility>

#include "agent/cause/process_causes.h"

namespace spantap {

struct CauseFinder::State {
  explicit State(const CauseSettings& cause_settings) : settings(cause_settings) {}

  ProcessCauses& Of(uint32_t tgid) {
    if (processes.size() >= settings.max_processes && !processes.contains(tgid)) Evict();
    auto& process = processes[tgid];
    if (process == nullptr) process = std::make_unique<ProcessCauses>(tgid, settings, counters, output);
    return *process;
  }
  // The longest unused one; what is open there is decided.
  void Evict() {
    const auto oldest = std::min_element(processes.begin(), processes.end(), [](const auto& a, const auto& b) {
      return a.second->last_used_ns() < b.second->last_used_ns();
    });
    oldest->second->Flush();
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
  std::map<uint32_t, std::unique_ptr<ProcessCauses>> processes;  // in an order that a replay has, too
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
  if (ProcessCauses* const process = state_->Find(tgid)) process->Flush();
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

}  // namespace spantap
