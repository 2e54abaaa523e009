// SPDX-License-Identifier: Apache-2.0
//
// The last line of every run, for people and machines:
// `ledger created=N acknowledged=N in_flight=N ... events_captured=N events_processed=N ...`.
// Pure; any thread.
#pragma once

#include <string>

#include "agent/capture/event_source.h"
#include "agent/run/pipeline.h"
#include "exporter/send/ledger.h"

namespace spantap {

// `pipeline` may be null (record: events are written, not processed by a pipeline); then `written`
// counts as processed.
std::string LedgerLine(const LedgerSnapshot& spans, const SourceCounters& source, const Pipeline* pipeline,
                       uint64_t written);

}  // namespace spantap
