/* SPDX-License-Identifier: Apache-2.0 */
#include "exporter/handoff/encode.h"

/* Known keys with texts that need no cut, or with integers: what attributes mostly are, in a third of the instructions.
 * NULL: another kind, or it does not fit; nothing that counts is written. */
static inline uint8_t* put_common(uint8_t* at, const uint8_t* end, const spantap_attr* attr) {
  struct spantap_attr_record record = {attr->key, (uint8_t)attr->type, 0, 8};
  size_t room = (size_t)(end - at);
  if (attr->key == SPANTAP_KEY_NAMED || room < sizeof(record) + sizeof(int64_t)) return NULL;
  if (attr->type == SPANTAP_STRING) {
    size_t size = attr->value.s.size;
    if (size > SPANTAP_MAX_VALUE || attr->value.s.data == NULL || size > room - sizeof(record)) return NULL;
    record.value_bytes = (uint32_t)size;
    memcpy(at, &record, sizeof(record));
    handoff_copy(at + sizeof(record), attr->value.s.data, size);
    return at + sizeof(record) + size;
  }
  if (attr->type != SPANTAP_INT) return NULL;
  memcpy(at, &record, sizeof(record));
  memcpy(at + sizeof(record), &attr->value.i, sizeof(int64_t));
  return at + sizeof(record) + sizeof(int64_t);
}

int handoff_put_attrs(struct handoff_out* out, const spantap_attr* attrs, uint32_t count, uint16_t* written,
                      uint32_t* dropped) {
  uint32_t room = SPANTAP_MAX_ATTRS - *written;
  uint32_t taken = count < room ? count : room;
  struct handoff_out mine = *out; /* a copy that no store into the record can change */
  uint32_t bad = 0;
  for (uint32_t i = 0; i < taken; ++i) {
    const spantap_attr* attr = &attrs[i];
    uint8_t* at = put_common(mine.at, mine.end, attr);
    if (__builtin_expect(at != NULL, 1)) {
      mine.at = at;
    } else if (!handoff_attr_good(attr)) {
      ++bad;
    } else if (!handoff_put_attr(&mine, attr)) {
      return 0;
    }
  }
  out->at = mine.at;
  *written = (uint16_t)(*written + taken - bad);
  *dropped += count - taken + bad;
  return 1;
}

size_t handoff_attrs_bytes(const spantap_attr* attrs, uint32_t count) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < count && i < SPANTAP_MAX_ATTRS; ++i) {
    if (handoff_attr_good(&attrs[i])) bytes += handoff_attr_bytes(&attrs[i]);
  }
  return bytes;
}

static int all_zero(const uint8_t* bytes, size_t count) {
  uint8_t any = 0;
  for (size_t i = 0; i < count; ++i) any |= bytes[i];
  return any == 0;
}

int handoff_event_good(const spantap_event* event) {
  return event->name.data != NULL && event->name.size != 0 && (event->attrs != NULL || event->attr_count == 0);
}

int handoff_link_good(const spantap_link* link) {
  return !all_zero(link->context.trace_id, 16) && !all_zero(link->context.span_id, 8) &&
         !handoff_str_bad(link->trace_state) && (link->attrs != NULL || link->attr_count == 0);
}

size_t handoff_event_bytes(const spantap_event* event) {
  return sizeof(struct spantap_event_record) + handoff_cut(event->name) +
         handoff_attrs_bytes(event->attrs, event->attr_count);
}

size_t handoff_link_bytes(const spantap_link* link) {
  return sizeof(struct spantap_link_record) + handoff_trace_state_bytes(link->trace_state) +
         handoff_attrs_bytes(link->attrs, link->attr_count);
}

/* Both kinds: a fixed part, a text, attributes; the fixed part is written last, when the attributes are counted. */
int handoff_put_event(struct handoff_out* out, const spantap_event* event, uint32_t* dropped) {
  struct spantap_event_record record = {event->time_unix_ns, (uint16_t)handoff_cut(event->name), 0, 0};
  uint8_t* start = out->at;
  if ((size_t)(out->end - start) < sizeof(record) + record.name_bytes) return 0;
  out->at += sizeof(record);
  handoff_put(out, event->name.data, record.name_bytes);
  uint8_t* attrs = out->at;
  if (!handoff_put_attrs(out, event->attrs, event->attr_count, &record.attr_count, dropped)) return 0;
  record.attr_bytes = (uint32_t)(out->at - attrs);
  memcpy(start, &record, sizeof(record));
  return 1;
}

int handoff_put_link(struct handoff_out* out, const spantap_link* link, uint32_t* dropped) {
  struct spantap_link_record record;
  memset(&record, 0, sizeof(record));
  memcpy(record.trace_id, link->context.trace_id, sizeof(record.trace_id));
  memcpy(record.span_id, link->context.span_id, sizeof(record.span_id));
  record.flags = link->context.flags;
  record.remote = link->context.remote != 0;
  record.trace_state_bytes = (uint16_t)handoff_trace_state_bytes(link->trace_state);
  uint8_t* start = out->at;
  if ((size_t)(out->end - start) < sizeof(record) + record.trace_state_bytes) return 0;
  out->at += sizeof(record);
  handoff_put(out, link->trace_state.data, record.trace_state_bytes);
  uint8_t* attrs = out->at;
  if (!handoff_put_attrs(out, link->attrs, link->attr_count, &record.attr_count, dropped)) return 0;
  record.attr_bytes = (uint32_t)(out->at - attrs);
  memcpy(start, &record, sizeof(record));
  return 1;
}

size_t handoff_trace_state_bytes(spantap_str trace_state) {
  if (trace_state.size <= SPANTAP_MAX_VALUE) return trace_state.size;
  size_t size = SPANTAP_MAX_VALUE;
  while (size > 0 && trace_state.data[size] != ',') --size;
  return size;
}
