// SPDX-License-Identifier: Apache-2.0
//
// What the hand-off counts, for the ledger line, /ledger and /metrics. Of one run, but for `producers`.
// Values; any thread.
#pragma once

#include <cstdint>

#include "exporter/intake/handoff_drops.h"

namespace spantap {

struct HandoffCounters {
  uint64_t producers = 0;    // attached now
  uint64_t attached = 0;     // rings given out
  uint64_t refused = 0;      // connections answered with an errno, or ended without a valid hello
  uint64_t quarantined = 0;  // producers whose ring was not what the contract says
  uint64_t spans = 0;        // taken from rings; all are `created` in the ledger, but for LinkCounters::handed.late
  uint64_t not_joined = 0;   // of these, of observed processes and too many at once to be joined: emitted as they are
  HandoffDrops dropped;
};

}  // namespace spantap
