// SPDX-License-Identifier: Apache-2.0
//
// One run of the agent: makes the objects that the settings ask for, moves events from the source to
// the pipeline until a signal, the end of the file or the end of the targets, then stops capturing,
// drains, and prints the ledger.
//
// Threads: the caller's thread becomes the event thread; the export thread is ExportLoop's.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "agent/cli/settings.h"

namespace spantap {

// Reads the configuration again, for SIGHUP.
using ReloadFn = std::function<absl::StatusOr<Settings>()>;

// `agent` obeys SIGHUP: with a good configuration the run ends in order and a new one begins (a ledger
// each), with a bad one it goes on and says why. Other commands end in order.
//
// Returns the exit code: 0 done, 1 failed while running, 2 what was asked for cannot be done as asked
// (no such process, no such file). Messages go to stderr, data to stdout.
int RunSession(Settings settings, const ReloadFn& reload);

}  // namespace spantap
