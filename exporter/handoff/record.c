/* SPDX-License-Identifier: Apache-2.0 */
#include "exporter/handoff/record.h"

static spantap_str status_message(const spantap_span* span) {
  spantap_str none = {NULL, 0};
  return span->status == SPANTAP_STATUS_ERROR ? span->status_message : none;
}

int handoff_span_good(const spantap_span* span) {
  return span->name.data != NULL && span->name.size != 0 &&
         handoff_ids_good(span->context.trace_id, span->context.span_id) && span->end_unix_ns >= span->start_unix_ns &&
         span->kind >= SPANTAP_INTERNAL && span->kind <= SPANTAP_CONSUMER && span->status <= SPANTAP_STATUS_ERROR &&
         !handoff_str_bad(span->trace_state) && !handoff_str_bad(span->status_message) &&
         (span->attrs != NULL || span->attr_count == 0) && (span->prepared != NULL || span->prepared_count == 0) &&
         (span->events != NULL || span->event_count == 0) && (span->links != NULL || span->link_count == 0) &&
         handoff_conn_good(span->conn);
}

uint32_t handoff_span_bytes(const spantap_span* span) {
  size_t bytes = sizeof(struct spantap_span_record) + handoff_cut(span->name) +
                 handoff_trace_state_bytes(span->trace_state) + handoff_cut(status_message(span)) +
                 handoff_prepared_bytes(span) + handoff_attrs_bytes(span->attrs, span->attr_count);
  for (uint32_t i = 0; i < span->event_count && i < SPANTAP_MAX_EVENTS && bytes <= SPANTAP_MAX_RECORD; ++i) {
    if (handoff_event_good(&span->events[i])) bytes += handoff_event_bytes(&span->events[i]);
  }
  for (uint32_t i = 0; i < span->link_count && i < SPANTAP_MAX_LINKS && bytes <= SPANTAP_MAX_RECORD; ++i) {
    if (handoff_link_good(&span->links[i])) bytes += handoff_link_bytes(&span->links[i]);
  }
  return bytes <= SPANTAP_MAX_RECORD ? handoff_aligned(bytes) : UINT32_MAX;
}

static int put_events(struct handoff_out* out, const spantap_span* span, struct spantap_span_record* record,
                      uint32_t* dropped_attrs) {
  uint32_t taken = span->event_count < SPANTAP_MAX_EVENTS ? span->event_count : SPANTAP_MAX_EVENTS;
  for (uint32_t i = 0; i < taken; ++i) {
    if (!handoff_event_good(&span->events[i])) continue;
    if (!handoff_put_event(out, &span->events[i], dropped_attrs)) return 0;
    ++record->event_count;
  }
  record->dropped_events = handoff_saturated(span->event_count - record->event_count);
  return 1;
}

static int put_links(struct handoff_out* out, const spantap_span* span, struct spantap_span_record* record,
                     uint32_t* dropped_attrs) {
  uint32_t taken = span->link_count < SPANTAP_MAX_LINKS ? span->link_count : SPANTAP_MAX_LINKS;
  for (uint32_t i = 0; i < taken; ++i) {
    if (!handoff_link_good(&span->links[i])) continue;
    if (!handoff_put_link(out, &span->links[i], dropped_attrs)) return 0;
    ++record->link_count;
  }
  record->dropped_links = handoff_saturated(span->link_count - record->link_count);
  return 1;
}

static void set_fixed(struct spantap_span_record* record, const spantap_span* span) {
  memset(record, 0, sizeof(*record));
  record->record.type = SPANTAP_RECORD_SPAN;
  memcpy(record->trace_id, span->context.trace_id, sizeof(record->trace_id));
  memcpy(record->span_id, span->context.span_id, sizeof(record->span_id));
  memcpy(record->parent_span_id, span->parent_span_id, sizeof(record->parent_span_id));
  record->start_unix_ns = span->start_unix_ns;
  record->end_unix_ns = span->end_unix_ns;
  record->kind = span->kind;
  record->status = span->status;
  record->flags = span->context.flags;
  record->parent_is_remote = span->parent_is_remote != 0;
  record->name_bytes = (uint16_t)handoff_cut(span->name);
  record->trace_state_bytes = (uint16_t)handoff_trace_state_bytes(span->trace_state);
  record->status_message_bytes = (uint16_t)handoff_cut(status_message(span));
  if (span->conn != NULL) handoff_set_conn(record, span->conn);
}

uint32_t handoff_put_span(const spantap_span* span, uint8_t* to, size_t bytes) {
  struct spantap_span_record record;
  uint32_t dropped_attrs = 0;
  set_fixed(&record, span);
  size_t texts = (size_t)record.name_bytes + record.trace_state_bytes + record.status_message_bytes;
  if (bytes > SPANTAP_MAX_RECORD) bytes = SPANTAP_MAX_RECORD;
  if (bytes < sizeof(record) + texts) return 0;
  struct handoff_out out = {to + sizeof(record), to + bytes};
  handoff_put(&out, span->name.data, record.name_bytes);
  if (__builtin_expect(texts != record.name_bytes, 0)) {
    handoff_put(&out, span->trace_state.data, record.trace_state_bytes);
    handoff_put(&out, span->status_message.data, record.status_message_bytes);
  }
  if (span->prepared_count != 0 && !handoff_put_prepared(&out, span, &record.attr_count, &dropped_attrs)) return 0;
  if (!handoff_put_attrs(&out, span->attrs, span->attr_count, &record.attr_count, &dropped_attrs)) return 0;
  if (span->event_count != 0 && !put_events(&out, span, &record, &dropped_attrs)) return 0;
  if (span->link_count != 0 && !put_links(&out, span, &record, &dropped_attrs)) return 0;
  record.dropped_attrs = handoff_saturated(dropped_attrs);
  record.record.bytes = handoff_aligned((size_t)(out.at - to));
  if (record.record.bytes > bytes) return 0;
  for (uint8_t* end = to + record.record.bytes; out.at < end; ++out.at) *out.at = 0;
  memcpy(to, &record, sizeof(record));
  return record.record.bytes;
}
