// SPDX-License-Identifier: Apache-2.0
//
// From what the user named to the kernel's target map: checks a TargetSpec, and finds the processes that
// it means among those already running. The kernel side adds those that start later.
//
// Used by BpfSource. Event thread only. Memory: one entry per process of a --pid target.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/capture/bpf_programs.h"
#include "agent/capture/event_source.h"
#include "agent/capture/targets.h"

namespace spantap {

class TargetSet {
 public:
  // Checks the spec against this machine: pids alive, cgroups there, pid namespace the initial one.
  static absl::StatusOr<TargetSet> Check(const TargetSpec& spec);

  // What the kernel compares by itself.
  const KernelTargets& kernel() const { return kernel_; }

  // Adds the running processes. Call after the hooks are attached: a child that is forked meanwhile is
  // added by them, or by the next of our passes.
  // Returns those that were named, and their descendants.
  absl::StatusOr<std::vector<uint32_t>> AddRunning(BpfPrograms& programs);

  // FORK and EXIT records keep the set of --pid targets and their descendants up to date.
  void OnFork(uint32_t parent, uint32_t child);
  void OnExit(uint32_t tgid);
  // Every --pid target and all descendants are gone, and nothing else can become a target.
  bool Exhausted() const { return !open_ended_ && roots_.empty(); }

  // The configured service name of a process: "" if no rule fits. `facts` may be its parent's.
  std::string ConfiguredName(uint32_t tgid, const ProcessFacts& facts) const;

 private:
  bool MatchesExe(uint32_t tgid) const;
  bool RuleMatches(const std::string& target, uint32_t tgid, const ProcessFacts& facts) const;
  static bool InCgroup(uint32_t tgid, const std::string& target);

  TargetSpec spec_;
  KernelTargets kernel_;
  bool open_ended_ = false;                        // executables, ports or cgroups: later processes may match
  absl::flat_hash_map<uint32_t, uint32_t> roots_;  // process -> the --pid target it descends from
};

}  // namespace spantap
