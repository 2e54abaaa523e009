/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/span.h"

#include <stdlib.h>
#include <string.h>

enum {
  INLINE_BYTES = SPAN_BYTES - sizeof(struct span),
  NAME_MAX_BYTES = 255,
  VALUE_MAX_BYTES = SPANTAP_MAX_VALUE + 1 /* one more lets the library see that it has to cut */
};

struct span* span_new(struct worker* worker) {
  struct span* span = worker->kept;
  if (__builtin_expect(span != NULL, 1)) {
    worker->kept = span->next_kept;
    --worker->kept_count;
  } else {
    span = (struct span*)malloc(SPAN_BYTES);
    if (span == NULL) return NULL;
  }
  memset(span, 0, sizeof(*span));
  span->worker = worker;
  span->items = span->inline_items;
  span->room = INLINE_BYTES;
  span->used = SPAN_FIRST_ITEM;
  return span;
}

void span_free(struct span* span) {
  struct worker* worker = span->worker;
  if (span->items != span->inline_items) free(span->items);
  if (worker->thread != thread_here() || worker->kept_count >= WORKER_KEPT_SPANS) {
    free(span);
    return;
  }
  span->next_kept = worker->kept;
  worker->kept = span;
  ++worker->kept_count;
}

static int grow(struct span* span, size_t wanted) {
  size_t room = span->room;
  while (room < wanted) room *= 2;
  if (room > SPAN_MAX_ITEM_BYTES) room = SPAN_MAX_ITEM_BYTES;
  if (room < wanted) return 0;
  int is_inline = span->items == span->inline_items;
  uint8_t* items = (uint8_t*)realloc(is_inline ? NULL : span->items, room);
  if (items == NULL) return 0;
  if (is_inline) memcpy(items, span->inline_items, span->used);
  span->items = items;
  span->room = (uint32_t)room;
  return 1;
}

/* 0: no room; it is counted. */
static uint32_t append(struct span* span, struct item item, const void* name, const char* value) {
  uint32_t at = span->used, bytes = item_bytes(&item);
  if (__builtin_expect(bytes > span->room - at, 0) && !grow(span, (size_t)at + bytes)) {
    span->dropped += span->dropped != UINT16_MAX;
    return 0;
  }
  uint8_t* to = span->items + at;
  memcpy(to, &item, sizeof(item));
  if (item.name_bytes != 0) memcpy(to + sizeof(item), name, item.name_bytes);
  if (item.value_bytes != 0) memcpy(to + sizeof(item) + item.name_bytes, value, item.value_bytes);
  span->used = at + bytes;
  return at;
}

static uint32_t cut(envoy_text value) {
  if (value.data == NULL) return 0;
  return value.size < VALUE_MAX_BYTES ? (uint32_t)value.size : VALUE_MAX_BYTES;
}

void span_set_text(struct span* span, enum tag text, envoy_text value) {
  struct item item = {(uint8_t)text, 0, 0, cut(value)};
  uint32_t at = append(span, item, NULL, value.data);
  if (at != 0) span->last[text] = at;
}

void span_set_tag(struct span* span, envoy_text name, envoy_text value) {
  if (name.data == NULL || name.size == 0) return; /* as Envoy's own tracer */
  enum tag tag = tag_of(name);
  if (tag == TAG_OTHER && (name.size > NAME_MAX_BYTES || span->attr_count >= SPANTAP_MAX_ATTRS)) {
    span->dropped += span->dropped != UINT16_MAX;
    return;
  }
  struct item item = {(uint8_t)tag, 0, tag == TAG_OTHER ? (uint16_t)name.size : 0, cut(value)};
  uint32_t at = append(span, item, name.data, value.data);
  if (at == 0) return;
  span->attr_count += span->last[tag] == 0 || tag == TAG_OTHER;
  if (tag != TAG_OTHER) span->last[tag] = at;
}

void span_add_event(struct span* span, uint64_t unix_ns, envoy_text name) {
  struct item item = {TAG_OTHER, 1, sizeof(unix_ns), cut(name)};
  if (item.value_bytes == 0 || span->event_count >= SPANTAP_MAX_EVENTS) return;
  if (item.value_bytes > NAME_MAX_BYTES) item.value_bytes = NAME_MAX_BYTES;
  if (append(span, item, &unix_ns, name.data) != 0) ++span->event_count;
}
