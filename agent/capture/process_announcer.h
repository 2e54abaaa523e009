// SPDX-License-Identifier: Apache-2.0
//
// Says who a process is before its first connection event is delivered: makes PROCESS records from
// /proc, the --service-name rules, and what FORK and EXEC told.
//
// A process may be gone when its first event is read. It is then described by what it was forked from,
// or after an exec by its command name.
//
// Used by BpfSource. Event thread only; reads /proc once per process and program (about 0.2 ms).
// Memory: at most kMaxProcesses entries; at the cap those that exited are forgotten, and if none did,
// all (and announced again). Processes of one program share their facts.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "agent/capture/event_source.h"
#include "agent/capture/target_set.h"

namespace spantap {

class ProcessAnnouncer {
 public:
  static constexpr size_t kMaxProcesses = 16384;
  explicit ProcessAnnouncer(const TargetSet& targets) : targets_(targets) {}

  // Reads a process that is a target from the start, while it is surely there.
  void Prime(uint32_t tgid);
  // Delivers a PROCESS record first if the event's process was not announced yet.
  void Before(const EventView& event, EventSink& sink);

 private:
  using Facts = std::shared_ptr<const ProcessFacts>;
  struct Known {
    Facts facts;  // what is known so far, maybe its parent's; null: nothing
    bool announced = false;
    bool exited = false;
    bool listens = false;  // its port is known, or was looked for a second time
  };
  // Null if the process is gone, or a zombie: that has neither executable nor descriptors.
  static Facts Read(uint32_t tgid);
  void Forget();
  void OnFork(uint32_t parent, uint32_t child);
  void OnExec(const spantap_task_event& task);
  void Announce(uint32_t tgid, EventSink& sink);

  const TargetSet& targets_;
  absl::flat_hash_map<uint32_t, Known> known_;
};

}  // namespace spantap
