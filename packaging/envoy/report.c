/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/report.h"

#include <string.h>

#include "packaging/envoy/address.h"

static spantap_attr* next_attr(struct report* report, spantap_key key, spantap_type type) {
  if (report->out.attr_count == REPORT_ATTRS) return NULL;
  spantap_attr* attr = &report->attrs[report->out.attr_count++];
  attr->key = key;
  attr->type = type;
  attr->reserved = 0;
  return attr;
}

void report_string(struct report* report, spantap_key key, spantap_str value) {
  spantap_attr* attr = next_attr(report, key, SPANTAP_STRING);
  if (attr != NULL) attr->value.s = value;
}

void report_named(struct report* report, spantap_str name, spantap_str value) {
  spantap_attr* attr = next_attr(report, SPANTAP_KEY_NAMED, SPANTAP_STRING);
  if (attr == NULL) return;
  attr->name = name;
  attr->value.s = value;
}

void report_int(struct report* report, spantap_key key, int64_t value) {
  spantap_attr* attr = next_attr(report, key, SPANTAP_INT);
  if (attr != NULL) attr->value.i = value;
}

void report_number(struct report* report, spantap_key key, enum tag tag) {
  int64_t value = report_tag_number(report->span, tag);
  if (value >= 0) report_int(report, key, value);
}

int64_t report_tag_number(const struct span* span, enum tag tag) {
  spantap_str text = span_get(span, tag);
  int64_t value = 0;
  if (text.size == 0 || text.size > 18) return -1;
  for (size_t i = 0; i < text.size; ++i) {
    if (text.data[i] < '0' || text.data[i] > '9') return -1;
    value = value * 10 + (text.data[i] - '0');
  }
  return value;
}

int report_code_is_error(const struct span* span) {
  /* Those that are the server's fault: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
  static const uint32_t kServerErrors = 1u << 2 | 1u << 4 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15;
  int client = span->kind == SPANTAP_CLIENT;
  int64_t http = report_tag_number(span, TAG_HTTP_STATUS_CODE);
  int64_t grpc = report_tag_number(span, TAG_GRPC_STATUS_CODE);
  if (grpc > 0 && (client || (grpc < 32 && (kServerErrors >> grpc & 1) != 0))) return 1;
  return http >= 500 || (client && http >= 400);
}

static void add_event(struct report* report, const struct item* item) {
  spantap_event* event = &report->events[report->out.event_count];
  if (report->out.event_count == SPANTAP_MAX_EVENTS) return;
  memset(event, 0, sizeof(*event));
  memcpy(&event->time_unix_ns, item + 1, sizeof(event->time_unix_ns));
  event->name.data = (const char*)(item + 1) + item->name_bytes;
  event->name.size = item->value_bytes;
  ++report->out.event_count;
}

void report_item(struct report* report, uint32_t offset) {
  const struct span* span = report->span;
  const struct item* item = span_item(span, offset);
  const char* text = (const char*)(item + 1);
  spantap_str value = {text + item->name_bytes, item->value_bytes};
  spantap_str own_name = {text, item->name_bytes};
  if (item->is_event) {
    add_event(report, item);
  } else if (item->tag == TAG_OTHER) {
    report_named(report, own_name, value);
  } else if (item->tag < TAG_NAMED_COUNT && item->tag != TAG_CONNECTION && span->last[item->tag] == offset) {
    report_named(report, tag_name((enum tag)item->tag), value);
  }
}

/* Envoy writes - for an address that there is not. */
spantap_str report_connection_part(const struct span* span, enum connection_part part) {
  static const spantap_str kNone = {"", 0};
  spantap_str text = span_get(span, TAG_CONNECTION);
  for (unsigned i = 0; text.size != 0; ++i) {
    const char* space = (const char*)memchr(text.data, ' ', text.size);
    spantap_str word = {text.data, space != NULL ? (size_t)(space - text.data) : text.size};
    if (i == (unsigned)part) return word.size == 1 && word.data[0] == '-' ? kNone : word;
    text.data += word.size + (space != NULL);
    text.size -= word.size + (space != NULL);
  }
  return kNone;
}

spantap_str report_upstream(const struct span* span) {
  spantap_str upstream = span_get(span, TAG_UPSTREAM_ADDRESS);
  if (upstream.size == 0) upstream = report_connection_part(span, UPSTREAM_PEER);
  if (upstream.size == 0 && span->child) upstream = span_get(span, TAG_PEER_ADDRESS);
  return upstream;
}

/* A server span's downstream connection, a client span's upstream one. */
static void find_connection(struct report* report) {
  const struct span* span = report->span;
  if (span->kind == SPANTAP_CLIENT) {
    (void)address_to_peer(report_upstream(span), &report->conn);
    (void)address_to_local(report_connection_part(span, UPSTREAM_LOCAL), &report->conn);
  } else if (!address_to_peer(report_connection_part(span, DOWNSTREAM_PEER), &report->conn)) {
    (void)address_to_peer(span_get(span, TAG_PEER_ADDRESS), &report->conn);
  } else {
    (void)address_to_local(report_connection_part(span, DOWNSTREAM_LOCAL), &report->conn);
  }
  if (report->conn.family != 0) report->out.conn = &report->conn;
}

/* The library counts attributes without a name as dropped: so it learns what found no room here. */
static void count_dropped(struct report* report) {
  for (uint32_t left = report->span->dropped; left != 0 && report->out.attr_count < REPORT_ATTRS; --left) {
    spantap_attr* attr = &report->attrs[report->out.attr_count++];
    memset(attr, 0, sizeof(*attr));
  }
}

static spantap_status submit(struct span* span, uint64_t end_unix_ns) {
  static const spantap_span kEmpty = SPANTAP_SPAN_INIT;
  struct report report;
  report.span = span;
  report.out = kEmpty;
  memset(&report.conn, 0, sizeof(report.conn));
  report.out.kind = span->kind;
  report.out.context = span->context;
  memcpy(report.out.parent_span_id, span->parent_span_id, sizeof(span->parent_span_id));
  report.out.parent_is_remote = span->parent_is_remote;
  report.out.start_unix_ns = span->start_unix_ns;
  report.out.end_unix_ns = end_unix_ns > span->start_unix_ns ? end_unix_ns : span->start_unix_ns;
  report.out.trace_state = span_get(span, TEXT_TRACE_STATE);
  report.out.attrs = report.attrs;
  report.out.events = report.events;
  if (span->tracer->style == STYLE_OTEL) {
    report_otel(&report);
  } else {
    report_envoy(&report);
  }
  find_connection(&report);
  count_dropped(&report);
  return spantap_submit(span->worker->producer, &report.out);
}

void report_span(struct span* span, uint64_t end_unix_ns) {
  if (span->finished) return;
  span->finished = 1;
  if (!span->child && __atomic_load_n(&span->tracer->routes_children, __ATOMIC_RELAXED)) span->kind = SPANTAP_SERVER;
  spantap_status status = spantap_wants(span->worker->producer, end_unix_ns);
  if (status == SPANTAP_OK) status = submit(span, end_unix_ns);
  statistics_count(&span->tracer->statistics, status);
}
