// SPDX-License-Identifier: Apache-2.0
//
// The table of processes, and the index of each one's open server exchanges.
//
// Event thread only. Memory: kMaxProcesses; at the cap the longest unused ones without exchanges are
// forgotten, together with what was learned about them.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "agent/link/process_state.h"

namespace spantap {

class Processes {
 public:
  static constexpr size_t kMaxProcesses = 4096;

  // The process of `member`, made if need be; counts the member in.
  ProcessState& Enter(Member& member);
  // The member is gone.
  static void Leave(Member& member);
  bool Forget(uint32_t tgid);  // returns whether its turns were said not to be needed
  bool Knows(uint32_t tgid) const { return table_.contains(tgid); }  // exchanges of it were seen
  // A head of an exchange that is no member.
  void CountHead(const Exchange& exchange, const HeadStamp& stamp, bool read);

 private:
  void Evict();

  absl::flat_hash_map<uint32_t, std::unique_ptr<ProcessState>> table_;
};

// A server exchange comes, gets its response, is over.
void OpenServer(Member& server);
void AnswerServer(Member& server);
void CloseServer(Member& server);

// Null if there are too many.
ThreadState* ThreadOf(ProcessState& process, uint32_t tid);
// A head in the order of its thread, for the count of a proxy's thread.
void CountHead(ProcessState& process, const HeadStamp& stamp, bool read);

// Open server exchanges that share the client's trace id, or else its x-request-id.
absl::InlinedVector<Member*, 4> Narrow(const Member& client);

}  // namespace spantap
