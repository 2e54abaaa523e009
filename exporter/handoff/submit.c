/* SPDX-License-Identifier: Apache-2.0 */
#include "exporter/handoff/producer.h"
#include "exporter/handoff/record.h"

/* Near the ring's end, or with no room known of: the exact size first. */
static spantap_status submit_slowly(spantap_producer* producer, const spantap_span* span) {
  uint32_t bytes = handoff_span_bytes(span);
  uint32_t skipped = 0;
  if (bytes == UINT32_MAX) return handoff_drop(producer, SPANTAP_TOO_LARGE);
  uint8_t* to = handoff_ring_reserve(&producer->ring, bytes, &skipped);
  if (to == NULL) {
    handoff_probe(producer);
    return handoff_drop(producer, SPANTAP_FULL);
  }
  bytes = handoff_put_span(span, to, bytes);
  if (bytes == 0) return handoff_drop(producer, SPANTAP_INVALID); /* it grew while it was read */
  handoff_ring_publish(&producer->ring, skipped + bytes);
  ++producer->handed_off;
  return SPANTAP_OK;
}

spantap_status spantap_submit(spantap_producer* producer, const spantap_span* span) {
  spantap_status status = handoff_enter(producer);
  if (status != SPANTAP_OK) return status;
  if (span == NULL) return handoff_drop(producer, SPANTAP_INVALID);
  spantap_span whole;
  if (__builtin_expect(span->struct_size < sizeof(whole), 0)) {
    memset(&whole, 0, sizeof(whole));
    memcpy(&whole, span, span->struct_size);
    span = &whole;
  }
  if (__builtin_expect(!handoff_span_good(span), 0)) return handoff_drop(producer, SPANTAP_INVALID);
  status = handoff_ready(producer, span->end_unix_ns);
  if (__builtin_expect(status != SPANTAP_OK, 0)) return status;

  uint8_t* to = handoff_ring_at(&producer->ring, producer->ring.head);
  uint32_t bytes = handoff_put_span(span, to, handoff_ring_window(&producer->ring));
  if (__builtin_expect(bytes == 0, 0)) return submit_slowly(producer, span);
  handoff_ring_publish(&producer->ring, bytes);
  ++producer->handed_off;
  return SPANTAP_OK;
}

spantap_status spantap_wants(spantap_producer* producer, uint64_t end_unix_ns) {
  spantap_status status = handoff_enter(producer);
  return status != SPANTAP_OK ? status : handoff_ready(producer, end_unix_ns);
}
