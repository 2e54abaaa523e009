// SPDX-License-Identifier: Apache-2.0
//
// One run of the agent: makes the objects that the settings ask for, moves events from the source to
// the pipeline until a signal, the end of the file or the end of the targets, then stops capturing,
// drains, and prints the ledger.
//
// Threads: the caller's thread becomes the event thread; the export thread is ExportLoop's.
#pragma once

#include <string>

#include "agent/cli/settings.h"

namespace spantap {

// Returns the exit code: 0 done, 1 failed while running, 2 what was asked for cannot be done as asked
// (no such process, no such file). Messages go to stderr, data to stdout.
int RunSession(const Settings& settings);

}  // namespace spantap
