// SPDX-License-Identifier: Apache-2.0
//
// The event thread's counters as one value: for the ledger line and the status board.
// Event thread. Cost: a read of the kernel's counters (one system call a counter map) and a copy.
#pragma once

#include "agent/handoff/handoff.h"
#include "agent/run/link_memory.h"
#include "agent/run/pipeline.h"
#include "agent/run/recording.h"
#include "agent/serve/status.h"

namespace spantap {

// Each may be null: a run that could not be opened, a recording without a pipeline.
EventStatus CollectEvents(const EventSource* source, const Pipeline* pipeline, const Recording* recording,
                          const Handoff* handoff = nullptr, const LinkMemory* memory = nullptr);

}  // namespace spantap
