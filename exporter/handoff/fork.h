/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells a forked child from its parent without a system call: a word on a page that the kernel gives to a child zeroed
 * (MADV_WIPEONFORK). Each producer remembers the word's value; another value means that a fork lies between.
 * Used by producer.h on every call. Any thread. One page a process, never freed (the library is never unloaded).
 */
#ifndef SPANTAP_EXPORTER_HANDOFF_FORK_H_
#define SPANTAP_EXPORTER_HANDOFF_FORK_H_

#include <stdint.h>

#include "spantap/spantap.h"

extern uint64_t* handoff_fork_word;

/* Makes the page if there is none: SPANTAP_OK, SPANTAP_NO_MEMORY, SPANTAP_UNSUPPORTED (a kernel before 4.14). */
spantap_status handoff_fork_prepare(void);
/* This process's value, never 0, differing from those of all its ancestors. */
uint64_t handoff_fork_generation(void);

/* 0 in a child whose first call this is. */
static inline uint64_t handoff_fork_look(void) { return __atomic_load_n(handoff_fork_word, __ATOMIC_RELAXED); }

#endif /* SPANTAP_EXPORTER_HANDOFF_FORK_H_ */
