/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "exporter/handoff/producer.h"

/* The record at `position` of a ring that is no longer written, or NULL if it cannot be one. */
static const struct spantap_record* record_at(const struct handoff_ring* ring, uint64_t position) {
  const struct spantap_record* record = (const struct spantap_record*)handoff_ring_at(ring, position);
  uint64_t to_end = ring->data_bytes - (position & (ring->data_bytes - 1));
  uint64_t limit = ring->head - position < to_end ? ring->head - position : to_end;
  return limit >= sizeof(*record) && record->bytes >= sizeof(*record) && record->bytes % 8 == 0 &&
                 record->bytes <= limit
             ? record
             : NULL;
}

static int move(struct handoff_ring* to, const struct spantap_record* record) {
  uint32_t skipped = 0;
  uint8_t* memory = handoff_ring_reserve(to, record->bytes, &skipped);
  if (memory == NULL) return 0;
  memcpy(memory, record, record->bytes);
  handoff_ring_publish(to, skipped + record->bytes);
  return 1;
}

void handoff_adopt(spantap_producer* producer) {
  struct handoff_ring* old = &producer->old;
  if (old->shared == NULL) return;
  const struct spantap_record* record = NULL;
  for (uint64_t at = old->tail; at != old->head && (record = record_at(old, at)) != NULL; at += record->bytes) {
    if (record->type != SPANTAP_RECORD_SPAN || move(&producer->ring, record)) continue;
    --producer->handed_off;
    handoff_drop(producer, SPANTAP_FULL);
  }
  handoff_unmap(old);
}
