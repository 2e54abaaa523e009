/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes strings and attributes as ring_layout.h has them, into memory with an end that is never passed. Used by
 * record.c (into the ring), live.c (into the caller's memory) and client.c (into the hello). Pure.
 */
#ifndef SPANTAP_EXPORTER_HANDOFF_ENCODE_H_
#define SPANTAP_EXPORTER_HANDOFF_ENCODE_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "exporter/handoff/ring_layout.h"
#include "spantap/spantap.h"

struct handoff_out {
  uint8_t* at;
  uint8_t* end;
};

enum { HANDOFF_NAME_MAX = 255 }; /* spantap_attr_record.name_bytes */

/* memcpy() without the call for what attributes mostly are; the shortest are the most frequent. */
static inline void handoff_copy(uint8_t* to, const void* from, size_t bytes) {
  const uint8_t* source = (const uint8_t*)from;
  if (bytes <= 16) {
    if (bytes >= 8) {
      uint64_t head, tail;
      memcpy(&head, source, 8);
      memcpy(&tail, source + bytes - 8, 8);
      memcpy(to, &head, 8);
      memcpy(to + bytes - 8, &tail, 8);
    } else if (bytes >= 4) {
      uint32_t head, tail;
      memcpy(&head, source, 4);
      memcpy(&tail, source + bytes - 4, 4);
      memcpy(to, &head, 4);
      memcpy(to + bytes - 4, &tail, 4);
    } else if (bytes != 0) {
      to[0] = source[0];
      to[bytes / 2] = source[bytes / 2];
      to[bytes - 1] = source[bytes - 1];
    }
  } else if (bytes <= 32) {
    uint64_t head[2], tail[2];
    memcpy(head, source, 16);
    memcpy(tail, source + bytes - 16, 16);
    memcpy(to, head, 16);
    memcpy(to + bytes - 16, tail, 16);
  } else if (bytes <= 64) {
    uint64_t head[4], tail[4];
    memcpy(head, source, 32);
    memcpy(tail, source + bytes - 32, 32);
    memcpy(to, head, 32);
    memcpy(to + bytes - 32, tail, 32);
  } else {
    memcpy(to, source, bytes);
  }
}

/* NULL with a length. */
static inline int handoff_str_bad(spantap_str s) { return s.data == NULL && s.size != 0; }

/* The length to hand off: at most SPANTAP_MAX_VALUE, not within a UTF-8 sequence. */
static inline size_t handoff_cut(spantap_str s) {
  if (__builtin_expect(s.size <= SPANTAP_MAX_VALUE, 1)) return s.size;
  size_t size = SPANTAP_MAX_VALUE;
  for (int back = 0; back < 3 && ((uint8_t)s.data[size] & 0xc0) == 0x80; ++back) --size;
  return ((uint8_t)s.data[size] & 0xc0) == 0x80 ? SPANTAP_MAX_VALUE : size; /* no UTF-8 at all: the agent's to repair */
}

static inline void handoff_put(struct handoff_out* out, const void* from, size_t bytes) {
  handoff_copy(out->at, from, bytes);
  out->at += bytes;
}

/* 0: of no use to anybody (no name, no value, unknown type); it is discarded and counted. */
static inline int handoff_attr_good(const spantap_attr* attr) {
  if (attr->key == SPANTAP_KEY_NAMED &&
      (attr->name.size - 1 >= HANDOFF_NAME_MAX || attr->name.data == NULL)) { /* size 0 wraps */
    return 0;
  }
  if (attr->type == SPANTAP_STRING) return !handoff_str_bad(attr->value.s);
  return attr->type == SPANTAP_INT || attr->type == SPANTAP_DOUBLE || attr->type == SPANTAP_BOOL;
}

/* Bytes of a good attribute. */
static inline size_t handoff_attr_bytes(const spantap_attr* attr) {
  return sizeof(struct spantap_attr_record) + (attr->key == SPANTAP_KEY_NAMED ? attr->name.size : 0) +
         (attr->type == SPANTAP_STRING ? handoff_cut(attr->value.s) : 8);
}

/* Writes a good attribute; 0: does not fit, nothing is written. */
static inline int handoff_put_attr(struct handoff_out* out, const spantap_attr* attr) {
  size_t name_bytes = attr->key == SPANTAP_KEY_NAMED ? attr->name.size : 0;
  size_t value_bytes = attr->type == SPANTAP_STRING ? handoff_cut(attr->value.s) : 8;
  struct spantap_attr_record record = {attr->key, (uint8_t)attr->type, (uint8_t)name_bytes, (uint32_t)value_bytes};
  if ((size_t)(out->end - out->at) < sizeof(record) + name_bytes + value_bytes) return 0;
  memcpy(out->at, &record, sizeof(record));
  out->at += sizeof(record);
  if (name_bytes != 0) handoff_put(out, attr->name.data, name_bytes);
  if (attr->type == SPANTAP_STRING) {
    handoff_put(out, attr->value.s.data, value_bytes);
  } else {
    int64_t value = attr->type == SPANTAP_BOOL ? attr->value.b != 0 : attr->value.i; /* a double's bits, too */
    memcpy(out->at, &value, sizeof(value));
    out->at += sizeof(value);
  }
  return 1;
}

/* What spantap_prepare() made: attributes as a record has them. */
struct spantap_prepared {
  uint64_t magic;
  uint32_t bytes;
  uint32_t count;
  uint8_t attrs[];
};
static const uint64_t kHandoffPrepared = 0x3144455250505453u; /* "STPPRED1" */
_Static_assert(sizeof(struct spantap_prepared) == SPANTAP_PREPARED_SIZE(0, 0), "as spantap.h says");

/* A group of a span, by index; NULL: there is none, or it was never prepared, and is counted. */
static inline const struct spantap_prepared* handoff_prepared(const spantap_span* span, uint32_t i, uint32_t* dropped) {
  const struct spantap_prepared* group = span->prepared[i];
  if (group == NULL || group->magic == kHandoffPrepared) return group;
  ++*dropped;
  return NULL;
}

/* All groups of a span, as handoff_put_attrs(). */
int handoff_put_prepared(struct handoff_out* out, const spantap_span* span, uint16_t* written, uint32_t* dropped);
/* At least what handoff_put_prepared() would write. */
size_t handoff_prepared_bytes(const spantap_span* span);

/* The good ones of an array, with those that are written up to SPANTAP_MAX_ATTRS. *written and *dropped (both
 * increased) say how many; 0: does not fit. */
int handoff_put_attrs(struct handoff_out* out, const spantap_attr* attrs, uint32_t count, uint16_t* written,
                      uint32_t* dropped);
/* What handoff_put_attrs() would write. */
size_t handoff_attrs_bytes(const spantap_attr* attrs, uint32_t count);

/* An event, a link: good, bytes, written; as with attributes. Their discarded attributes are added to *dropped. */
int handoff_event_good(const spantap_event* event);
int handoff_link_good(const spantap_link* link);
size_t handoff_event_bytes(const spantap_event* event);
size_t handoff_link_bytes(const spantap_link* link);
int handoff_put_event(struct handoff_out* out, const spantap_event* event, uint32_t* dropped);
int handoff_put_link(struct handoff_out* out, const spantap_link* link, uint32_t* dropped);

/* tracestate as it is handed off: whole entries, at most SPANTAP_MAX_VALUE bytes. */
size_t handoff_trace_state_bytes(spantap_str trace_state);

#endif /* SPANTAP_EXPORTER_HANDOFF_ENCODE_H_ */
