/* SPDX-License-Identifier: Apache-2.0
 *
 * The hand-off's contract between libspantap.so (producer, C) and the agent (reader, C++): packets of the attaching,
 * the ring, the records. Native byte order: both ends run on one kernel. Version 1; a reader refuses other versions,
 * an agent that changes anything here takes another number.
 *
 * Attaching. The producer connects to the agent's AF_UNIX SOCK_SEQPACKET socket and sends one packet: spantap_hello and
 * the resource's attributes (as in a record). The agent reads SO_PEERCRED, makes a memfd, sizes it, seals it (SHRINK,
 * GROW, SEAL) and answers with one packet: spantap_welcome, with the memfd as SCM_RIGHTS if status is 0. The connection
 * stays open and silent; its end is the end of either side. One connection is one ring, one ring is one thread.
 *
 * Ring. Single producer, single reader, positions in bytes that only grow; data[position & (data_bytes - 1)]. The
 * producer alone writes `head` (release, after the record), the reader alone writes `tail` (release, after the copy).
 * Records are 8-byte aligned and never wrap: what is left at the end is filled by a SPANTAP_RECORD_PAD. The reader
 * trusts nothing that the producer can write: it loads head once, bounds it, copies a record out, then looks at the
 * copy. An agent that ends in order sets `state`, drains, stores `tail`, closes the connection. One that was killed is
 * noticed by the end of the connection, which a producer looks for only while records lie unread for a second (by the
 * spans' own end times: no clock is read). In both cases it attaches anew after the connection's end, and not before,
 * and copies what lies beyond `tail` into the new ring. A reader that sees the connection end before it closed it
 * itself drains: nobody else will.
 */
#ifndef SPANTAP_EXPORTER_HANDOFF_RING_LAYOUT_H_
#define SPANTAP_EXPORTER_HANDOFF_RING_LAYOUT_H_

#include <stdint.h>

#define SPANTAP_HANDOFF_VERSION 1u
#define SPANTAP_HELLO_MAGIC 0x314f4c4c48505453ull   /* "STPHLLO1" */
#define SPANTAP_WELCOME_MAGIC 0x31434c5757505453ull /* "STPWWLC1" */
#define SPANTAP_RING_MAGIC 0x31474e4952505453ull    /* "STPRING1" */

#define SPANTAP_HELLO_MAX_BYTES 16384u /* the packet with its attributes */
#define SPANTAP_RING_MIN_BYTES \
  131072u /* of data; all sizes are powers of two. Twice the largest record: an empty ring takes any */
#define SPANTAP_RING_DEFAULT_BYTES 1048576u
#define SPANTAP_RING_MAX_BYTES 16777216u
#define SPANTAP_RING_HEADER_BYTES 4096u

struct spantap_hello {
  uint64_t magic;
  uint32_t version;
  uint32_t ring_bytes; /* wished; 0: the agent's choice */
  uint32_t attr_count; /* resource attributes that follow, encoded as a record's */
  uint32_t attr_bytes;
};

struct spantap_welcome {
  uint64_t magic;
  uint32_t version;
  int32_t status; /* 0, or the errno that tells why there is no ring: EPROTO, EACCES, EMFILE, ENOMEM */
  uint64_t data_bytes;
};

/* The first page of the memfd; the data follow. */
struct spantap_ring {
  /* Constant. */
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;
  uint64_t data_bytes;
  uint8_t pad0[40];
  /* Written by the reader. */
  uint64_t tail;
  uint64_t taken_full; /* how much of the drops below is in its books; what is not, the producer tells the next agent */
  uint64_t taken_too_large;
  uint64_t taken_no_agent;
  uint64_t taken_invalid;
  uint8_t pad1[24];
  /* Written by the reader, rarely: a line of its own, so that a producer's look at it costs no cache miss. */
  uint32_t state; /* enum spantap_ring_state */
  uint8_t pad2[60];
  /* Written by the producer. */
  uint64_t head;
  uint64_t dropped_full; /* spans, since the ring was made; for the agent's ledger, taken as claims */
  uint64_t dropped_too_large;
  uint64_t dropped_no_agent; /* before the ring was there */
  uint64_t dropped_invalid;
  uint8_t pad3[24];
};

enum spantap_ring_state {
  SPANTAP_RING_OPEN = 0,
  SPANTAP_RING_PAUSED = 1, /* no spans are wanted for now */
  SPANTAP_RING_CLOSED = 2  /* the agent is ending: push no more; it sets this, drains, then closes the connection */
};

enum spantap_record_type { SPANTAP_RECORD_PAD = 1, SPANTAP_RECORD_SPAN = 2 };

struct spantap_record {
  uint32_t bytes; /* of the whole record with this header; a multiple of 8 */
  uint16_t type;
  uint16_t reserved;
};

/* A span's fixed part. In this order follow: name, trace_state, status_message; then attrs, events, links; zeros up to
 * the multiple of 8. */
struct spantap_span_record {
  struct spantap_record record;
  uint8_t trace_id[16];
  uint8_t span_id[8];
  uint8_t parent_span_id[8];
  uint64_t start_unix_ns;
  uint64_t end_unix_ns;
  uint8_t kind;
  uint8_t status;
  uint8_t flags;            /* W3C */
  uint8_t parent_is_remote; /* 0 or 1 */
  uint16_t name_bytes;
  uint16_t trace_state_bytes;
  uint16_t status_message_bytes;
  uint16_t attr_count;
  uint16_t event_count;
  uint16_t link_count;
  uint16_t dropped_attrs;
  uint16_t dropped_events;
  uint16_t dropped_links;
  uint16_t conn_family; /* 0: conn is all zero */
  uint16_t conn_local_port;
  uint16_t conn_peer_port;
  uint8_t conn_local_address[16];
  uint8_t conn_peer_address[16];
};

/* An attribute: this, the name's bytes (key 0 only), the value's: 8 bytes of int64, double or bool, or the string's.
 * Not aligned: read with memcpy. */
struct spantap_attr_record {
  uint16_t key;
  uint8_t type;       /* spantap_type */
  uint8_t name_bytes; /* 0 unless key is 0 */
  uint32_t value_bytes;
};

/* An event: this, name, attributes. A link: this, trace state, attributes. Not aligned. */
struct spantap_event_record {
  uint64_t time_unix_ns;
  uint16_t name_bytes;
  uint16_t attr_count;
  uint32_t attr_bytes;
};
struct spantap_link_record {
  uint8_t trace_id[16];
  uint8_t span_id[8];
  uint8_t flags;
  uint8_t remote;
  uint16_t trace_state_bytes;
  uint16_t attr_count;
  uint16_t reserved;
  uint32_t attr_bytes;
};

#if defined(__cplusplus)
#define SPANTAP_LAYOUT_ASSERT(condition) static_assert(condition, #condition)
#else
#define SPANTAP_LAYOUT_ASSERT(condition) _Static_assert(condition, #condition)
#endif
SPANTAP_LAYOUT_ASSERT(sizeof(struct spantap_ring) == 256);
SPANTAP_LAYOUT_ASSERT(sizeof(struct spantap_span_record) == 120);
SPANTAP_LAYOUT_ASSERT(sizeof(struct spantap_attr_record) == 8);
SPANTAP_LAYOUT_ASSERT(sizeof(struct spantap_event_record) == 16);
SPANTAP_LAYOUT_ASSERT(sizeof(struct spantap_link_record) == 36);

#endif /* SPANTAP_EXPORTER_HANDOFF_RING_LAYOUT_H_ */
