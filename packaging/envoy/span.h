/* SPDX-License-Identifier: Apache-2.0
 *
 * A span while it lives: ids, times, and the tags as Envoy sets them, appended to one block of memory. What they mean
 * is looked at once, when the span ends (report.c). Used by tracer.c.
 * Threads: the worker's that began it; span_free() may be called by any.
 * Memory: SPAN_BYTES from the worker's kept spans; more, up to SPAN_MAX_ITEM_BYTES, only for a span with much text.
 * What is over that, and over SPANTAP_MAX_ATTRS tags, is discarded and counted.
 */
#ifndef SPANTAP_PACKAGING_ENVOY_SPAN_H_
#define SPANTAP_PACKAGING_ENVOY_SPAN_H_

#include "packaging/envoy/statistics.h"
#include "packaging/envoy/tags.h"
#include "packaging/envoy/worker.h"
#include "spantap/spantap.h"

enum {
  SPAN_BYTES = 2048,
  SPAN_MAX_ITEM_BYTES = 49152,
  SPAN_FIRST_ITEM = 8 /* the first item's offset: 0 means none */
};

/* What Envoy holds as a configuration; outlives its spans. */
struct tracer {
  struct outlet* outlet;
  enum span_style style;
  uint32_t routes_children; /* atomic: spawn_upstream_span is set */
  struct statistics statistics;
};

struct span {
  struct worker* worker;
  struct tracer* tracer;
  struct span* next_kept;
  spantap_context context;
  uint8_t parent_span_id[8];
  uint8_t parent_is_remote;
  uint8_t local_decision; /* Envoy may change its mind: no header decided */
  uint8_t child;          /* of another span here */
  uint8_t renamed;
  uint8_t finished;
  spantap_kind kind;
  uint16_t attr_count;
  uint16_t event_count;
  uint16_t dropped;
  uint64_t start_unix_ns;
  uint8_t* items;
  uint32_t room;
  uint32_t used;
  uint32_t last[TAG_COUNT]; /* offset of the item that counts; 0: none */
  char hex[32];             /* an id, as Envoy asks for it */
  uint8_t inline_items[];
};

/* Followed by the name's bytes (an event: its time), then the value's. */
struct item {
  uint8_t tag;
  uint8_t is_event;
  uint16_t name_bytes;
  uint32_t value_bytes;
};

/* NULL: no memory. All zero but for worker and memory. */
struct span* span_new(struct worker* worker);
void span_free(struct span* span);

static inline int span_sampled(const struct span* span) { return (span->context.flags & SPANTAP_SAMPLED) != 0; }

/* A text replaces the one before; so does a tag that Envoy sets twice. */
void span_set_text(struct span* span, enum tag text, envoy_text value);
void span_set_tag(struct span* span, envoy_text name, envoy_text value);
void span_add_event(struct span* span, uint64_t unix_ns, envoy_text name);

/* The last value; size 0 and NULL: never set. */
static inline spantap_str span_get(const struct span* span, enum tag tag) {
  spantap_str value = {0, 0};
  if (span->last[tag] != 0) {
    const struct item* item = (const struct item*)(const void*)(span->items + span->last[tag]);
    value.data = (const char*)(item + 1) + item->name_bytes;
    value.size = item->value_bytes;
  }
  return value;
}

/* The items in order: from SPAN_FIRST_ITEM on, each item_bytes() further, until it is span->used. */
static inline const struct item* span_item(const struct span* span, uint32_t offset) {
  return (const struct item*)(const void*)(span->items + offset);
}
static inline uint32_t item_bytes(const struct item* item) {
  return ((uint32_t)sizeof(*item) + item->name_bytes + item->value_bytes + 7) & ~7u;
}

#endif /* SPANTAP_PACKAGING_ENVOY_SPAN_H_ */
