/* SPDX-License-Identifier: Apache-2.0
 *
 * A spantap_span as a span record of ring_layout.h. Used by submit.c. Pure: writes only into the memory it is given,
 * and never behind its end, even if the caller's strings change meanwhile.
 */
#ifndef SPANTAP_EXPORTER_HANDOFF_RECORD_H_
#define SPANTAP_EXPORTER_HANDOFF_RECORD_H_

#include "exporter/handoff/encode.h"

static inline uint32_t handoff_aligned(size_t bytes) { return (uint32_t)((bytes + 7) & ~(size_t)7); }

static inline int handoff_conn_good(const spantap_conn* conn) {
  return conn == NULL || conn->family == 0 || conn->family == 4 || conn->family == 6;
}

static inline void handoff_set_conn(struct spantap_span_record* record, const spantap_conn* conn) {
  int known = conn->family != 0;
  record->conn_family = conn->family;
  record->conn_local_port = known ? conn->local_port : 0;
  record->conn_peer_port = known ? conn->peer_port : 0;
  if (conn->family == 6) {
    memcpy(record->conn_local_address, conn->local_address, 16);
    memcpy(record->conn_peer_address, conn->peer_address, 16);
    return;
  }
  memset(record->conn_local_address, 0, sizeof(record->conn_local_address));
  memset(record->conn_peer_address, 0, sizeof(record->conn_peer_address));
  if (!known) return;
  memcpy(record->conn_local_address, conn->local_address, 4);
  memcpy(record->conn_peer_address, conn->peer_address, 4);
}

static inline uint16_t handoff_saturated(uint32_t count) { return count < UINT16_MAX ? (uint16_t)count : UINT16_MAX; }

static inline int handoff_ids_good(const uint8_t* trace_id, const uint8_t* span_id) {
  uint64_t words[3];
  memcpy(words, trace_id, 16);
  memcpy(&words[2], span_id, 8);
  return (words[0] | words[1]) != 0 && words[2] != 0;
}

/* 0: SPANTAP_INVALID by what spantap.h says. */
int handoff_span_good(const spantap_span* span);
/* The exact size of the record, a multiple of 8; UINT32_MAX if it is over SPANTAP_MAX_RECORD. */
uint32_t handoff_span_bytes(const spantap_span* span);
/* Writes the record, whose size is returned; 0: it does not fit into `bytes`. `to` is 8-byte aligned. */
uint32_t handoff_put_span(const spantap_span* span, uint8_t* to, size_t bytes);

#endif /* SPANTAP_EXPORTER_HANDOFF_RECORD_H_ */
