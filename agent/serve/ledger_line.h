// SPDX-License-Identifier: Apache-2.0
//
// The last line of every run, for people and machines, and the same as JSON for /ledger:
// `ledger created=N acknowledged=N in_flight=N ... events_captured=N events_processed=N ...`.
// Pure; any thread.
#pragma once

#include <string>

#include "agent/serve/status.h"

namespace spantap {

std::string LedgerLine(const RunStatus& status);
// One object, the line's names in the line's order: {"created":N,"acknowledged":N,...}.
std::string LedgerJson(const RunStatus& status);

}  // namespace spantap
