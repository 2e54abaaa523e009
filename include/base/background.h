// SPDX-License-Identifier: Apache-2.0
//
// For threads that read rings, encode and send: what they do may wait some milliseconds, and whom they observe may not.
// Called by each of them when it begins. Two system calls; never fails in a way that matters.
#pragma once

#include <sched.h>

namespace spantap {

// From now on the calling thread interrupts nobody when it wakes up: it gets its fair share at a tick, or a core that
// is idle. (Woken a thousand times a second, it would otherwise cost a busy proxy as many switches.) Threads that
// somebody gave another policy keep it.
inline void InterruptNobody() {
  const sched_param none = {};
  if (sched_getscheduler(0) == SCHED_OTHER) (void)sched_setscheduler(0, SCHED_BATCH, &none);
}

}  // namespace spantap
