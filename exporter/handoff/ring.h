/* SPDX-License-Identifier: Apache-2.0
 *
 * The producer's end of a ring: reserve contiguous room, write, publish. Used by submit.c, live.c and attach.c.
 * One thread, which is the only writer of the ring's data and head; the reader is another process.
 * Owns no memory: it points into the mapping that attach.c made. What the reader can write (tail) decides only how much
 * room there is; no value of it leads outside the data.
 */
#ifndef SPANTAP_EXPORTER_HANDOFF_RING_H_
#define SPANTAP_EXPORTER_HANDOFF_RING_H_

#include <stddef.h>
#include <stdint.h>

#include "exporter/handoff/ring_layout.h"

enum { HANDOFF_WARM_BYTES = 768 }; /* two spans of ten attributes */

struct handoff_ring {
  struct spantap_ring* shared; /* NULL: there is none */
  uint8_t* data;
  uint64_t data_bytes; /* a power of two */
  uint64_t head;       /* published, too */
  uint64_t tail;       /* as last seen; the true one is not before it */
};

static inline uint64_t handoff_ring_look(struct handoff_ring* ring) {
  uint64_t tail = __atomic_load_n(&ring->shared->tail, __ATOMIC_ACQUIRE);
  /* Outside of what was written: an agent gone mad. The last good value stays, and the ring fills up. */
  if (ring->head - tail <= ring->data_bytes) ring->tail = tail;
  return ring->tail;
}

static inline uint8_t* handoff_ring_at(const struct handoff_ring* ring, uint64_t position) {
  return ring->data + (position & (ring->data_bytes - 1));
}

/* The bytes that can be written at head without a look at the reader; at most SPANTAP_MAX_RECORD matter. */
static inline size_t handoff_ring_window(const struct handoff_ring* ring) {
  uint64_t to_end = ring->data_bytes - (ring->head & (ring->data_bytes - 1));
  uint64_t room = ring->data_bytes - (ring->head - ring->tail);
  return room < to_end ? room : to_end;
}

/* Room for `bytes` (a multiple of 8, at most half of the data), behind a pad record if the end is too near; NULL: full.
 * *skipped gets the pad's size, for handoff_ring_publish(). */
static inline uint8_t* handoff_ring_reserve(struct handoff_ring* ring, uint32_t bytes, uint32_t* skipped) {
  uint64_t to_end = ring->data_bytes - (ring->head & (ring->data_bytes - 1));
  uint32_t pad = to_end < bytes ? (uint32_t)to_end : 0;
  if (ring->head + pad + bytes - ring->tail > ring->data_bytes &&
      ring->head + pad + bytes - handoff_ring_look(ring) > ring->data_bytes) {
    return NULL;
  }
  *skipped = pad;
  if (pad != 0) {
    struct spantap_record* record = (struct spantap_record*)handoff_ring_at(ring, ring->head);
    record->bytes = pad;
    record->type = SPANTAP_RECORD_PAD;
    record->reserved = 0;
  }
  return handoff_ring_at(ring, ring->head + pad);
}

/* Asks for as many bytes as were written, HANDOFF_WARM_BYTES ahead of head: lines that records after the next one will
 * be written to. The reader had them last, on another core: fetched between two requests they cost nothing, fetched by
 * the stores themselves some 100 ns each. */
static inline void handoff_ring_warm(const struct handoff_ring* ring, uint32_t written) {
  uint64_t end = ring->head + HANDOFF_WARM_BYTES;
  uint64_t at = end - (written < HANDOFF_WARM_BYTES ? written : (uint32_t)HANDOFF_WARM_BYTES);
  for (at &= ~(uint64_t)63; at < end; at += 64) {
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*handoff_ring_at(ring, at)));
#else
    __builtin_prefetch(handoff_ring_at(ring, at), 1);
#endif
  }
}

/* From here on the reader has it, whatever happens to this process. */
static inline void handoff_ring_publish(struct handoff_ring* ring, uint32_t bytes) {
  ring->head += bytes;
  __atomic_store_n(&ring->shared->head, ring->head, __ATOMIC_RELEASE);
  handoff_ring_warm(ring, bytes);
}

#endif /* SPANTAP_EXPORTER_HANDOFF_RING_H_ */
