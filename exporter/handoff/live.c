/* SPDX-License-Identifier: Apache-2.0 */
#include "exporter/handoff/producer.h"
#include "exporter/handoff/record.h"

/* The caller's memory: this structure; attributes, encoded, upwards; from the end downwards everything else as chunks
 * (texts, events, links), each behind a struct chunk. What is replaced stays where it is until the end. */
struct spantap_live {
  uint64_t magic;
  spantap_producer* producer;
  struct spantap_span_record record; /* its counts and sizes, too */
  uint32_t bytes;                    /* of the memory, all offsets are from its start */
  uint32_t attrs_end;
  uint32_t chunks_begin;
  uint32_t texts[3]; /* offsets of name, trace state, status message; 0: none */
  uint32_t events_bytes;
  uint32_t links_bytes;
};
_Static_assert(sizeof(struct spantap_live) + 256 <= SPANTAP_LIVE_MIN, "room for some attributes");

struct chunk {
  uint32_t bytes; /* of what follows; its room is that, aligned */
  uint32_t kind;
};
enum { TEXT, EVENT, LINK };
enum { NAME, TRACE_STATE, STATUS_MESSAGE };

static const uint64_t kLive = 0x455649454e415053u;
static const uint64_t kEnded = 0x4445444e454e4153u;
static const size_t kUsefulBytes = 262144; /* no span that fits into a record needs more */

static uint8_t* at(spantap_live* live, uint32_t offset) { return (uint8_t*)live + offset; }

static uint16_t* text_size(spantap_live* live, int text) {
  return text == NAME          ? &live->record.name_bytes
         : text == TRACE_STATE ? &live->record.trace_state_bytes
                               : &live->record.status_message_bytes;
}

static void count_dropped(uint16_t* count, uint32_t more) { *count = handoff_saturated(*count + more); }

/* Every function on a live span begins here. */
static spantap_status enter(spantap_live* live) {
  if (live == NULL) return SPANTAP_INVALID;
  if (live->magic == kEnded) return SPANTAP_ENDED;
  if (live->magic != kLive) return SPANTAP_INVALID;
  return live->producer->thread == handoff_thread() ? SPANTAP_OK : handoff_wrong_thread(live->producer);
}

/* Room for a chunk of that size; NULL: there is none. */
static uint8_t* new_chunk(spantap_live* live, uint32_t kind, size_t bytes) {
  size_t room = live->chunks_begin - live->attrs_end;
  if (bytes > room || handoff_aligned(bytes) + sizeof(struct chunk) > room) return NULL;
  live->chunks_begin -= handoff_aligned(bytes) + (uint32_t)sizeof(struct chunk);
  struct chunk header = {(uint32_t)bytes, kind};
  memcpy(at(live, live->chunks_begin), &header, sizeof(header));
  return at(live, live->chunks_begin) + sizeof(header);
}

/* Takes the youngest chunk back. */
static void forget_chunk(spantap_live* live, size_t bytes) {
  live->chunks_begin += handoff_aligned(bytes) + (uint32_t)sizeof(struct chunk);
}

static spantap_status set_text(spantap_live* live, int text, const char* data, size_t size) {
  struct chunk before = {0, TEXT};
  if (live->texts[text] != 0) memcpy(&before, at(live, live->texts[text]) - sizeof(before), sizeof(before));
  if (size > handoff_aligned(before.bytes)) {
    uint8_t* room = new_chunk(live, TEXT, size);
    if (room == NULL) return SPANTAP_NO_SPACE;
    live->texts[text] = (uint32_t)(room - (uint8_t*)live);
  }
  if (size != 0) memcpy(at(live, live->texts[text]), data, size);
  *text_size(live, text) = (uint16_t)size;
  return SPANTAP_OK;
}

spantap_status spantap_begin(spantap_producer* producer, void* memory, size_t size, const spantap_context* context,
                             const uint8_t* parent_span_id, spantap_kind kind, spantap_str name, uint64_t start_unix_ns,
                             spantap_live** live) {
  spantap_status status = handoff_enter(producer);
  if (status != SPANTAP_OK) return status;
  if (memory == NULL || ((uintptr_t)memory & 7) != 0 || context == NULL || live == NULL || handoff_str_bad(name) ||
      kind < SPANTAP_INTERNAL || kind > SPANTAP_CONSUMER || !handoff_ids_good(context->trace_id, context->span_id)) {
    return SPANTAP_INVALID;
  }
  if (size < SPANTAP_LIVE_MIN) return SPANTAP_NO_SPACE;
  if (handoff_client_closed(producer->client)) return SPANTAP_CLOSED;
  spantap_live* made = (spantap_live*)memory;
  memset(made, 0, sizeof(*made));
  made->magic = kLive;
  made->producer = producer;
  made->bytes = (uint32_t)((size < kUsefulBytes ? size : kUsefulBytes) & ~(size_t)7);
  made->attrs_end = sizeof(*made);
  made->chunks_begin = made->bytes;
  made->record.record.type = SPANTAP_RECORD_SPAN;
  memcpy(made->record.trace_id, context->trace_id, sizeof(made->record.trace_id));
  memcpy(made->record.span_id, context->span_id, sizeof(made->record.span_id));
  if (parent_span_id != NULL) memcpy(made->record.parent_span_id, parent_span_id, sizeof(made->record.parent_span_id));
  made->record.flags = context->flags;
  made->record.parent_is_remote = parent_span_id != NULL && (kind == SPANTAP_SERVER || kind == SPANTAP_CONSUMER);
  made->record.kind = kind;
  made->record.start_unix_ns = start_unix_ns;
  status = set_text(made, NAME, name.data, handoff_cut(name));
  if (status == SPANTAP_OK) *live = made;
  return status;
}

static spantap_status add_attr(spantap_live* live, const spantap_attr* attr) {
  spantap_status status = enter(live);
  if (status != SPANTAP_OK) return status;
  struct handoff_out out = {at(live, live->attrs_end), at(live, live->chunks_begin)};
  int good = handoff_attr_good(attr);
  if (!good || live->record.attr_count >= SPANTAP_MAX_ATTRS || !handoff_put_attr(&out, attr)) {
    count_dropped(&live->record.dropped_attrs, 1);
    return good ? SPANTAP_NO_SPACE : SPANTAP_INVALID;
  }
  live->attrs_end = (uint32_t)(out.at - (uint8_t*)live);
  ++live->record.attr_count;
  return SPANTAP_OK;
}

spantap_status spantap_set_string(spantap_live* live, spantap_key key, spantap_str name, spantap_str value) {
  spantap_attr attr = {key, SPANTAP_STRING, 0, name, {value}};
  return add_attr(live, &attr);
}

spantap_status spantap_set_int(spantap_live* live, spantap_key key, spantap_str name, int64_t value) {
  spantap_attr attr = {key, SPANTAP_INT, 0, name, {{NULL, 0}}};
  attr.value.i = value;
  return add_attr(live, &attr);
}

spantap_status spantap_set_double(spantap_live* live, spantap_key key, spantap_str name, double value) {
  spantap_attr attr = {key, SPANTAP_DOUBLE, 0, name, {{NULL, 0}}};
  attr.value.d = value;
  return add_attr(live, &attr);
}

spantap_status spantap_set_bool(spantap_live* live, spantap_key key, spantap_str name, int value) {
  spantap_attr attr = {key, SPANTAP_BOOL, 0, name, {{NULL, 0}}};
  attr.value.b = value != 0;
  return add_attr(live, &attr);
}

spantap_status spantap_set_name(spantap_live* live, spantap_str name) {
  spantap_status status = enter(live);
  if (status != SPANTAP_OK) return status;
  if (name.data == NULL || name.size == 0) return SPANTAP_INVALID;
  return set_text(live, NAME, name.data, handoff_cut(name));
}

spantap_status spantap_set_trace_state(spantap_live* live, spantap_str trace_state) {
  spantap_status status = enter(live);
  if (status != SPANTAP_OK) return status;
  if (handoff_str_bad(trace_state)) return SPANTAP_INVALID;
  return set_text(live, TRACE_STATE, trace_state.data, handoff_trace_state_bytes(trace_state));
}

spantap_status spantap_set_status(spantap_live* live, spantap_span_status span_status, spantap_str message) {
  spantap_status status = enter(live);
  if (status != SPANTAP_OK) return status;
  if (span_status > SPANTAP_STATUS_ERROR || handoff_str_bad(message)) return SPANTAP_INVALID;
  live->record.status = span_status;
  size_t size = span_status == SPANTAP_STATUS_ERROR ? handoff_cut(message) : 0;
  return set_text(live, STATUS_MESSAGE, message.data, size);
}

spantap_status spantap_set_conn(spantap_live* live, const spantap_conn* conn) {
  spantap_status status = enter(live);
  if (status != SPANTAP_OK) return status;
  if (conn == NULL || !handoff_conn_good(conn)) return SPANTAP_INVALID;
  handoff_set_conn(&live->record, conn);
  return SPANTAP_OK;
}

/* An event or a link is there, or not: counted either way. One that is not whole (the caller's strings changed while it
 * was written) is taken back. */
static spantap_status end_part(spantap_live* live, uint32_t kind, const uint8_t* room, size_t bytes, int whole,
                               uint32_t dropped_attrs) {
  struct spantap_span_record* record = &live->record;
  if (!whole) {
    if (room != NULL) forget_chunk(live, bytes);
    count_dropped(kind == EVENT ? &record->dropped_events : &record->dropped_links, 1);
    return SPANTAP_NO_SPACE;
  }
  ++*(kind == EVENT ? &record->event_count : &record->link_count);
  *(kind == EVENT ? &live->events_bytes : &live->links_bytes) += (uint32_t)bytes;
  count_dropped(&record->dropped_attrs, dropped_attrs);
  return SPANTAP_OK;
}

spantap_status spantap_add_event(spantap_live* live, const spantap_event* event) {
  spantap_status status = enter(live);
  if (status != SPANTAP_OK) return status;
  int good = event != NULL && handoff_event_good(event);
  size_t bytes = good ? handoff_event_bytes(event) : 0;
  uint32_t dropped = 0;
  uint8_t* room = good && live->record.event_count < SPANTAP_MAX_EVENTS ? new_chunk(live, EVENT, bytes) : NULL;
  struct handoff_out out = {room, room != NULL ? room + bytes : NULL};
  int whole = room != NULL && handoff_put_event(&out, event, &dropped) && out.at == out.end;
  status = end_part(live, EVENT, room, bytes, whole, dropped);
  return good ? status : SPANTAP_INVALID;
}

spantap_status spantap_add_link(spantap_live* live, const spantap_link* link) {
  spantap_status status = enter(live);
  if (status != SPANTAP_OK) return status;
  int good = link != NULL && handoff_link_good(link);
  size_t bytes = good ? handoff_link_bytes(link) : 0;
  uint32_t dropped = 0;
  uint8_t* room = good && live->record.link_count < SPANTAP_MAX_LINKS ? new_chunk(live, LINK, bytes) : NULL;
  struct handoff_out out = {room, room != NULL ? room + bytes : NULL};
  int whole = room != NULL && handoff_put_link(&out, link, &dropped) && out.at == out.end;
  status = end_part(live, LINK, room, bytes, whole, dropped);
  return good ? status : SPANTAP_INVALID;
}

/* Chunks lie youngest first, the record has them oldest first: filled from behind. */
static void put_chunks(spantap_live* live, uint8_t* events_end, uint8_t* links_end) {
  struct chunk header;
  for (uint32_t offset = live->chunks_begin; offset < live->bytes;) {
    memcpy(&header, at(live, offset), sizeof(header));
    offset += (uint32_t)sizeof(header);
    uint8_t** end = header.kind == EVENT ? &events_end : header.kind == LINK ? &links_end : NULL;
    if (end != NULL) {
      *end -= header.bytes;
      memcpy(*end, at(live, offset), header.bytes);
    }
    offset += handoff_aligned(header.bytes);
  }
}

static void put_live(spantap_live* live, uint8_t* to) {
  uint8_t* end = to + live->record.record.bytes;
  struct handoff_out out = {to + sizeof(live->record), end};
  memcpy(to, &live->record, sizeof(live->record));
  for (int text = NAME; text <= STATUS_MESSAGE; ++text) {
    handoff_put(&out, at(live, live->texts[text]), *text_size(live, text));
  }
  handoff_put(&out, at(live, sizeof(*live)), live->attrs_end - sizeof(*live));
  if (live->events_bytes + live->links_bytes != 0) {
    put_chunks(live, out.at + live->events_bytes, out.at + live->events_bytes + live->links_bytes);
  }
  for (out.at += live->events_bytes + live->links_bytes; out.at < end; ++out.at) *out.at = 0;
}

spantap_status spantap_end(spantap_live* live, uint64_t end_unix_ns) {
  spantap_status status = enter(live);
  if (status != SPANTAP_OK) return status;
  spantap_producer* producer = live->producer;
  live->magic = kEnded;
  status = handoff_enter(producer);
  if (status != SPANTAP_OK) return status;
  struct spantap_span_record* record = &live->record;
  if (record->name_bytes == 0 || end_unix_ns < record->start_unix_ns) return handoff_drop(producer, SPANTAP_INVALID);
  record->end_unix_ns = end_unix_ns;
  status = handoff_ready(producer, end_unix_ns);
  if (status != SPANTAP_OK) return status;
  size_t bytes = sizeof(*record) + record->name_bytes + record->trace_state_bytes + record->status_message_bytes +
                 (live->attrs_end - sizeof(*live)) + live->events_bytes + live->links_bytes;
  if (bytes > SPANTAP_MAX_RECORD) return handoff_drop(producer, SPANTAP_TOO_LARGE);
  record->record.bytes = handoff_aligned(bytes);
  uint32_t skipped = 0;
  uint8_t* to = handoff_ring_reserve(&producer->ring, record->record.bytes, &skipped);
  if (to == NULL) {
    handoff_probe(producer);
    return handoff_drop(producer, SPANTAP_FULL);
  }
  put_live(live, to);
  handoff_ring_publish(&producer->ring, skipped + record->record.bytes);
  ++producer->handed_off;
  return SPANTAP_OK;
}
