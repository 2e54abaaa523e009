/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread's producer and what every function on it begins with. Used by all .c files here but the pure ones.
 * One thread, the one that opened it; another is recognised by its thread pointer and turned away. A fork is noticed
 * before anything of the ring is touched, because the ring is not mapped in a child.
 * Memory: this structure, a connection, and a ring that the agent pays for.
 */
#ifndef SPANTAP_EXPORTER_HANDOFF_PRODUCER_H_
#define SPANTAP_EXPORTER_HANDOFF_PRODUCER_H_

#include <errno.h>
#include <stdint.h>

#include "exporter/handoff/client.h"
#include "exporter/handoff/fork.h"
#include "exporter/handoff/ring.h"
#include "spantap/spantap.h"

/* DETACHED -> ASKED (hello sent) -> RECEIVED (welcome and memfd) -> MAPPED -> ATTACHED -> DETACHED; LEAVING is between
 * the last two while the agent, ending, still drains. Whatever fails leads to DETACHED. */
enum handoff_state {
  HANDOFF_DETACHED,
  HANDOFF_ASKED,
  HANDOFF_RECEIVED,
  HANDOFF_MAPPED,
  HANDOFF_ATTACHED,
  HANDOFF_LEAVING
};

struct handoff_counts {
  uint64_t full;
  uint64_t too_large;
  uint64_t no_agent;
  uint64_t invalid;
};

struct spantap_producer {
  uintptr_t thread;
  uint64_t generation; /* of fork.h */
  spantap_client* client;
  uint32_t state;           /* enum handoff_state */
  struct handoff_ring ring; /* valid from MAPPED on */
  uint64_t checked_unix_ns; /* end time of the span at which the reader was last looked at */
  uint64_t checked_tail;
  uint64_t handed_off;
  uint64_t random[4];

  struct handoff_counts dropped;
  struct handoff_counts told_before; /* part of `dropped` that readers of earlier rings have taken */
  uint64_t dropped_off;
  uint64_t wrong_thread; /* atomic */
  uint64_t attach_attempts;
  uint64_t attached_times;
  uint64_t refused_agent;

  int connection; /* -1: none */
  int memory;     /* the memfd between RECEIVED and MAPPED; else -1 */
  uint64_t connection_cookie;
  uint64_t welcome_bytes;
  struct handoff_ring old; /* of a dead agent, with records that nobody has read */
  uint64_t due_ns;         /* of the next attempt or probe; coarse monotonic clock */
  uint64_t asked_ns;
  uint64_t looked_ns; /* for the answer, last */
  uint32_t failures;  /* attempts since the last ring */
};

static inline uintptr_t handoff_thread(void) {
#if defined(__x86_64__) || defined(__aarch64__)
  return (uintptr_t)__builtin_thread_pointer();
#else
  return (uintptr_t)&errno;
#endif
}

/* In a child: forgets what is the parent's. */
void handoff_after_fork(spantap_producer* producer);
/* Counts; the drops also where the agent sees them. */
spantap_status handoff_wrong_thread(spantap_producer* producer);
spantap_status handoff_drop(spantap_producer* producer, spantap_status reason);
/* Shows the drops to the agent; at the beginning of a ring, those since the last one. */
void handoff_tell(spantap_producer* producer);
/* At the end of a ring: what its reader has not taken note of is for the next one. */
void handoff_told(spantap_producer* producer);
/* New seed from the kernel: ids of a child differ from its parent's. */
void handoff_seed(spantap_producer* producer);

/* Right thread, right process; else a status. */
static inline spantap_status handoff_enter(spantap_producer* producer) {
  if (producer == NULL) return SPANTAP_INVALID;
  if (__builtin_expect(producer->thread != handoff_thread(), 0)) return handoff_wrong_thread(producer);
  if (__builtin_expect(producer->generation != handoff_fork_look(), 0)) handoff_after_fork(producer);
  return SPANTAP_OK;
}

/* attach.c: the way to a ring, one call as far as it goes without waiting. SPANTAP_OK: there is one. */
spantap_status handoff_advance(spantap_producer* producer);
/* Looks whether the reader still lives, if it has not read for a second. */
void handoff_check_reader(spantap_producer* producer, uint64_t unix_ns);
/* The same, when there is no room or the caller waits: at most ten times a second. */
void handoff_probe(spantap_producer* producer);
/* Lets go of connection and memory; the ring's unread records, too. */
void handoff_detach(spantap_producer* producer);
/* adopt.c: moves what nobody has read from `old` to the new ring, and unmaps `old`. */
void handoff_adopt(spantap_producer* producer);
/* Unmaps a ring and forgets it. */
void handoff_unmap(struct handoff_ring* ring);

/* Whether a span may go into the ring now; else the drop is counted, and its status returned. */
spantap_status handoff_ready_slowly(spantap_producer* producer);
static inline spantap_status handoff_ready(spantap_producer* producer, uint64_t unix_ns) {
  if (__builtin_expect(producer->state != HANDOFF_ATTACHED || handoff_client_closed(producer->client), 0)) {
    return handoff_ready_slowly(producer);
  }
  /* A second later, or a second earlier: a clock was set, or spans end in no order. */
  if (unix_ns - producer->checked_unix_ns + 1000000000u >= 2000000000u) handoff_check_reader(producer, unix_ns);
  if (__builtin_expect(producer->state != HANDOFF_ATTACHED ||
                           __atomic_load_n(&producer->ring.shared->state, __ATOMIC_RELAXED) != SPANTAP_RING_OPEN,
                       0)) {
    return handoff_ready_slowly(producer);
  }
  return SPANTAP_OK;
}

#endif /* SPANTAP_EXPORTER_HANDOFF_PRODUCER_H_ */
