// SPDX-License-Identifier: Apache-2.0
//
// Which program each process runs, and what is remembered of programs: a process that begins gets what an earlier one
// of its program left; what it learned is taken when it ends, and from all, a few at a time, when the memory is wanted.
// Of a CauseFinder; without Begin() it does nothing. Event thread. Memory: CauseMemory's, and kMaxProcesses of 16
// bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/cause/cause_memory.h"
#include "agent/cause/process_causes.h"

namespace spantap {

class CauseKeeper {
 public:
  static constexpr size_t kMaxProcesses = 4096;                          // more are not remembered
  static constexpr int kMostAsked = 4;                                   // of the others that run the same program
  using Processes = std::map<uint32_t, std::unique_ptr<ProcessCauses>>;  // in an order that a replay has, too

  explicit CauseKeeper(CauseCounters& counters) : counters_(counters) {}
  void Begin(CauseMemory memory);
  // Whether `tgid` is among the processes, or will be: it begins with what is remembered of the program, and with what
  // others that run it have learned by then, as workers of one server do, of which perhaps only one was seen in the
  // calm.
  void OnProgram(uint32_t tgid, uint64_t program, const Processes& processes);
  void OnBegin(uint32_t tgid, const Processes& processes);
  // What it learned stays; more may follow.
  void Take(uint32_t tgid, const ProcessCauses& process);
  void OnEnd(uint32_t tgid) { programs_.erase(tgid); }

  const CauseMemory& memory() const { return memory_; }

 private:
  LearnedImage KnownOf(uint32_t tgid, uint64_t program, const Processes& processes) const;

  CauseCounters& counters_;
  bool on_ = false;  // what ends leaves something
  CauseMemory memory_;
  absl::flat_hash_map<uint32_t, uint64_t> programs_;  // by tgid
};

}  // namespace spantap
