// SPDX-License-Identifier: Apache-2.0
//
// The exporter of one run, from its settings; what it says goes to the log. Used by session.cc.
// Main thread.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/cli/settings.h"
#include "exporter/send/exporter.h"

namespace spantap {

// Null if the settings export nothing.
absl::StatusOr<std::unique_ptr<Exporter>> MakeExporterFor(const Settings& settings, Ledger& ledger);
// Its threads take no signals; a stop signal wakes it (stop_signal.h).
void StartExporter(Exporter& exporter);

// For a replay, after Stop(): whether all spans are with the collector or safe on disk.
absl::Status CheckDelivered(const Exporter& exporter, const LedgerSnapshot& spans);

}  // namespace spantap
