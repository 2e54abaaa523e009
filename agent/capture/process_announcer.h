// SPDX-License-Identifier: Apache-2.0
//
// Says who a process is before its first connection event is delivered: makes PROCESS records from
// /proc, the --service-name rules, and what FORK and EXEC told.
//
// Used by BpfSource. Event thread only; reads /proc once per process and program (about 0.1 ms).
// Memory: one small entry per announced process until its EXIT, at most kMaxProcesses (then all are
// forgotten and announced again).
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "agent/capture/event_source.h"
#include "agent/capture/target_set.h"

namespace spantap {

class ProcessAnnouncer {
 public:
  static constexpr size_t kMaxProcesses = 16384;
  explicit ProcessAnnouncer(const TargetSet& targets) : targets_(targets) {}

  // Delivers a PROCESS record first if the event's process was not announced yet.
  void Before(const EventView& event, EventSink& sink);

 private:
  struct Known {
    bool announced = false;
    bool listens = false;
    std::string comm;  // from EXEC: a name for a process that is gone before we read /proc
  };
  void Announce(uint32_t tgid, Known& known, EventSink& sink);

  const TargetSet& targets_;
  absl::flat_hash_map<uint32_t, Known> known_;
};

}  // namespace spantap
