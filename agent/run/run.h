// SPDX-License-Identifier: Apache-2.0
//
// The agent's life: one session after another, with the listener beside them. Used by main.
//
// `agent` obeys SIGHUP: with a good configuration the session ends in order and a new one begins (a ledger each), with
// a bad one it goes on and says why. The listener's port stays open meanwhile if its address is unchanged; a new
// address is bound first, and if it cannot be had, the old session goes on. Other commands end in order.
#pragma once

#include "agent/run/session.h"

namespace spantap {

// Returns the exit code: 0 done, 1 failed while running, 2 what was asked for cannot be done as asked (no such
// process, no such file, a port that is taken). Messages go to stderr, data to stdout.
int Run(Settings settings, const ReloadFn& reload);

}  // namespace spantap
