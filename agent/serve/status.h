// SPDX-License-Identifier: Apache-2.0
//
// What a run looks like from outside, as plain values: the ledger line, /ledger, /metrics and /readyz are all made
// from one RunStatus, so that they cannot disagree about names or sums.
//
// Values; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/capture/event_source.h"
#include "agent/connections/conn_table.h"
#include "agent/handoff/handoff_counters.h"
#include "agent/link/linker.h"
#include "agent/serve/memory_counters.h"
#include "exporter/send/exporter.h"
#include "exporter/send/ledger.h"

namespace spantap {

// What the event thread counts.
struct EventStatus {
  SourceCounters source;
  uint64_t processed = 0;  // by the pipeline, or written to the record file
  uint64_t unknown = 0;    // of types that this version does not know
  bool pipeline = false;   // false (record): there are no connections and links to tell of
  ConnCounters connections;
  LinkCounters links;
  std::optional<HandoffCounters> handoff;  // nullopt: no --socket
  std::optional<MemoryCounters> memory;    // nullopt: no --link-memory
};

enum class Phase : uint8_t {
  kStarting,   // nothing is attached yet
  kCapturing,  // events come
  kDisabled,   // by OTEL_SDK_DISABLED: nothing will be attached
  kStopping,   // capture has ended; what is left is sent
};

struct RunStatus {
  Phase phase = Phase::kStarting;
  LedgerSnapshot spans;
  EventStatus events;
  std::optional<ExporterStatus> exporter;  // nullopt: nothing is exported
  double turn_age_s = 0;                   // since the event thread last turned
  uint64_t reloads = 0;                    // runs before this one
};

}  // namespace spantap
