// SPDX-License-Identifier: Apache-2.0
//
// Which program each process runs, and what is remembered of programs: a process that begins gets what an earlier one
// of its program left; what it learned is taken when it ends, and from all, a few at a time, when the memory is wanted.
// Of a CauseFinder; without Begin() it does nothing. Event thread. Memory: CauseMemory's, and kMaxProcesses of 16
// bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/cause/cause_memory.h"
#include "agent/cause/process_causes.h"

namespace spantap {

class CauseKeeper {
 public:
  static constexpr size_t kMaxProcesses = 4096;  // more are not remembered

  explicit CauseKeeper(CauseCounters& counters) : counters_(counters) {}
  void Begin(CauseMemory memory);
  // `process`: null if nothing was told of it yet.
  void OnProgram(uint32_t tgid, uint64_t program, ProcessCauses* process);
  void OnBegin(uint32_t tgid, ProcessCauses& process);
  // What it learned stays; more may follow.
  void Take(uint32_t tgid, const ProcessCauses& process);
  void OnEnd(uint32_t tgid) { programs_.erase(tgid); }

  const CauseMemory& memory() const { return memory_; }

 private:
  CauseCounters& counters_;
  bool on_ = false;
  CauseMemory memory_;
  absl::flat_hash_map<uint32_t, uint64_t> programs_;  // by tgid
};

}  // namespace spantap
