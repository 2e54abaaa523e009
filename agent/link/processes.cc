// SPDX-License-Identifier: Apache-2.0
#include "agent/link/processes.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace spantap {
namespace {

constexpr int kMaxNarrowed = 64;  // open requests of one process with one id

}  // namespace

uint64_t TraceKey(const TraceId& id) {
  uint64_t words[2];
  std::memcpy(words, id.bytes.data(), sizeof(words));
  return HashCombine(words[0], words[1]);
}

ThreadState* ThreadOf(ProcessState& process, uint32_t tid) {
  if (process.threads.size() >= ProcessState::kMaxThreads && !process.threads.contains(tid)) {
    absl::erase_if(process.threads, [](const auto& entry) { return entry.second->held.empty(); });
    if (process.threads.size() >= ProcessState::kMaxThreads) return nullptr;
  }
  auto& thread = process.threads[tid];
  if (thread == nullptr) thread = std::make_unique<ThreadState>();
  return thread.get();
}

void CountHead(ProcessState& process, const HeadStamp& stamp, bool read) {
  if (!process.proxy_class.is_proxy()) return;
  if (ThreadState* const thread = ThreadOf(process, stamp.tid)) thread->heads.Note(stamp, read);
}

void Processes::CountHead(const Exchange& exchange, const HeadStamp& stamp, bool read) {
  const auto it = table_.find(exchange.tgid);
  if (it != table_.end()) spantap::CountHead(*it->second, stamp, read);
}

ProcessState& Processes::Enter(Member& member) {
  const uint32_t tgid = member.exchange->tgid;
  if (table_.size() >= kMaxProcesses && !table_.contains(tgid)) Evict();
  auto& process = table_[tgid];
  if (process == nullptr) {
    process = std::make_unique<ProcessState>();
    process->tgid = tgid;
  }
  ++process->members;
  process->last_used = member.id;
  member.process = process.get();
  return *process;
}

void Processes::Leave(Member& member) {
  if (member.process != nullptr) --member.process->members;
  member.process = nullptr;
}

bool Processes::Forget(uint32_t tgid) {
  const auto it = table_.find(tgid);
  if (it == table_.end()) return false;
  const bool no_turns = std::exchange(it->second->no_turns, false);
  if (it->second->members == 0) {
    table_.erase(it);
    return no_turns;
  }
  it->second->thread_class = {};
  it->second->proxy_class = {};
  it->second->free_connections = {};
  it->second->background = {};
  it->second->routes = nullptr;
  return no_turns;
}

// A quarter at once, so that the sort is rare. By age, so that a replay forgets what the run forgot.
void Processes::Evict() {
  std::vector<std::pair<uint64_t, uint32_t>> idle;
  for (const auto& [tgid, process] : table_) {
    if (process->members == 0) idle.emplace_back(process->last_used, tgid);
  }
  std::sort(idle.begin(), idle.end());
  idle.resize(std::min(idle.size(), kMaxProcesses / 4));
  for (const auto& [used, tgid] : idle) table_.erase(tgid);
}

void OpenServer(Member& server) {
  ProcessState& process = *server.process;
  server.overlapped = process.unanswered > 0;
  server.arrival = ++process.arrivals;
  ++process.open_count;
  ++process.unanswered;
  process.open.PushBack(server.hooks[kSlotOpen]);
  const HeadDigest& head = server.request;
  if (head.traceparent) process.by_trace.Add(TraceKey(head.traceparent->trace_id), server.hooks[kSlotTrace]);
  if (head.request_id_hash != 0) process.by_request_id.Add(head.request_id_hash, server.hooks[kSlotRequestId]);
}

void AnswerServer(Member& server) {
  --server.process->unanswered;
  server.hooks[kSlotThread].Unlink();
}

void CloseServer(Member& server) {
  ProcessState& process = *server.process;
  if (!server.responded) AnswerServer(server);
  --process.open_count;
  server.hooks[kSlotOpen].Unlink();
  const HeadDigest& head = server.request;
  if (head.traceparent) process.by_trace.Remove(TraceKey(head.traceparent->trace_id), server.hooks[kSlotTrace]);
  if (head.request_id_hash != 0) process.by_request_id.Remove(head.request_id_hash, server.hooks[kSlotRequestId]);
}

absl::InlinedVector<Member*, 4> Narrow(const Member& client) {
  absl::InlinedVector<Member*, 4> found;
  bool all = true;
  const ProcessState& process = *client.process;
  const HeadDigest& head = client.request;
  if (head.traceparent) {
    all = process.by_trace.Each(TraceKey(head.traceparent->trace_id), kMaxNarrowed, [&](Member& server) {
      if (server.request.traceparent->trace_id == head.traceparent->trace_id && server.id < client.id) {
        found.push_back(&server);
      }
      return true;
    });
  }
  if (found.empty() && head.request_id_hash != 0) {
    all = process.by_request_id.Each(head.request_id_hash, kMaxNarrowed, [&](Member& server) {
      if (server.id < client.id) found.push_back(&server);
      return true;
    });
  }
  // One that was not looked at may be the one.
  if (!all) found.clear();
  return found;
}

}  // namespace spantap
