// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/record_to_span.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "exporter/handoff/ring_layout.h"
#include "exporter/model/attributes.h"
#include "spantap/spantap.h"

namespace spantap {
namespace {

constexpr size_t kFirstSpans = 64;  // room at once, so that few are moved
// Those of W3C Trace Context, Level 2; the rest of the byte belongs to nobody yet.
constexpr uint8_t kKnownFlags = kFlagSampled | kFlagRandom;

template <size_t N>
std::array<uint8_t, N> Bytes(const uint8_t (&from)[N]) {
  std::array<uint8_t, N> to;
  std::copy(from, from + N, to.begin());
  return to;
}

std::string Text(absl::string_view untrusted_text) {
  std::string repaired;
  return std::string(CleanText(untrusted_text, kMaxAttributeValueBytes, &repaired));
}

std::string TraceState(absl::string_view untrusted_value) {
  return !untrusted_value.empty() && ValidTraceState(untrusted_value) ? std::string(untrusted_value) : std::string();
}

// What libspantap.so never writes.
bool Contradicts(const spantap_span_record& r) {
  const bool counts = r.event_count <= SPANTAP_MAX_EVENTS && r.link_count <= SPANTAP_MAX_LINKS;
  const bool enums = r.kind >= SPANTAP_INTERNAL && r.kind <= SPANTAP_CONSUMER && r.status <= SPANTAP_STATUS_ERROR;
  const bool times = r.end_unix_ns >= r.start_unix_ns;
  return !counts || !enums || !times || r.name_bytes == 0 || r.parent_is_remote > 1;
}

void CopyFixed(const spantap_span_record& r, Span& span) {
  span.trace_id.bytes = Bytes(r.trace_id);
  span.span_id.bytes = Bytes(r.span_id);
  span.parent_span_id.bytes = Bytes(r.parent_span_id);
  span.flags = r.flags & kKnownFlags;
  span.parent_is_remote = r.parent_is_remote != 0;
  span.kind = static_cast<SpanKind>(r.kind);
  span.status = static_cast<StatusCode>(r.status);
  span.start_unix_ns = r.start_unix_ns;
  span.end_unix_ns = r.end_unix_ns;
  span.dropped_attributes = r.dropped_attrs;
  span.dropped_events = r.dropped_events;
  span.dropped_links = r.dropped_links;
}

SpanConnection ConnectionOf(const spantap_span_record& r) {
  SpanConnection connection;
  if (r.conn_family != 4 && r.conn_family != 6) return connection;
  connection.family = static_cast<uint8_t>(r.conn_family);
  connection.local_port = r.conn_local_port;
  connection.peer_port = r.conn_peer_port;
  connection.local_address = Bytes(r.conn_local_address);
  connection.peer_address = Bytes(r.conn_peer_address);
  return connection;
}

bool ReadTexts(const spantap_span_record& r, ByteCursor& cursor, Span& span) {
  absl::string_view name, state, message;
  if (!cursor.Take(r.name_bytes, &name) || !cursor.Take(r.trace_state_bytes, &state) ||
      !cursor.Take(r.status_message_bytes, &message)) {
    return false;
  }
  span.name = Text(name);
  span.trace_state = TraceState(state);
  if (span.status == StatusCode::kError) span.status_message = Text(message);
  return true;
}

}  // namespace

std::optional<Span> RecordDecoder::RecordToSpan(absl::string_view record, std::shared_ptr<const Resource> resource,
                                                SpanConnection* connection) {
  std::optional<Span> span(std::in_place);
  if (!Decode(record, *span, connection)) return std::nullopt;
  span->resource = std::move(resource);
  return span;
}

bool RecordDecoder::AppendSpan(absl::string_view record, const std::shared_ptr<const Resource>& resource,
                               std::vector<Span>* spans, SpanConnection* connection) {
  if (spans->size() == spans->capacity()) spans->reserve(std::max(kFirstSpans, 2 * spans->size()));
  Span& span = spans->emplace_back();
  if (!Decode(record, span, connection)) {
    spans->pop_back();
    return false;
  }
  span.resource = resource;
  return true;
}

bool RecordDecoder::Decode(absl::string_view record, Span& span, SpanConnection* connection) {
  ByteCursor cursor(record);
  spantap_span_record fixed;
  if (!cursor.Read(&fixed) || fixed.record.bytes != record.size() || fixed.record.type != SPANTAP_RECORD_SPAN ||
      Contradicts(fixed)) {
    return false;
  }
  CopyFixed(fixed, span);
  if (!span.trace_id.valid() || !span.span_id.valid() || !ReadTexts(fixed, cursor, span)) return false;
  if (!attributes_.Decode(cursor, fixed.attr_count, &span.attributes, &span.dropped_attributes)) return false;
  if (!ReadEvents(cursor, fixed.event_count, span) || !ReadLinks(cursor, fixed.link_count, span)) return false;
  if (cursor.left() >= sizeof(uint64_t)) return false;  // more than filling
  if (connection != nullptr) *connection = ConnectionOf(fixed);
  return true;
}

bool RecordDecoder::ReadEvents(ByteCursor& cursor, size_t count, Span& span) {
  span.events.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    spantap_event_record record;
    absl::string_view name;
    if (!cursor.Read(&record) || !cursor.Take(record.name_bytes, &name)) return false;
    SpanEvent& event = span.events.emplace_back();
    event.time_unix_ns = record.time_unix_ns;
    event.name = Text(name);
    if (!attributes_.Decode(cursor, record.attr_count, record.attr_bytes, &event.attributes,
                            &event.dropped_attributes)) {
      return false;
    }
  }
  return true;
}

bool RecordDecoder::ReadLinks(ByteCursor& cursor, size_t count, Span& span) {
  span.links.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    spantap_link_record record;
    absl::string_view state;
    if (!cursor.Read(&record) || record.remote > 1 || !cursor.Take(record.trace_state_bytes, &state)) return false;
    SpanLink& link = span.links.emplace_back();
    link.trace_id.bytes = Bytes(record.trace_id);
    link.span_id.bytes = Bytes(record.span_id);
    link.flags = record.flags & kKnownFlags;
    link.is_remote = record.remote != 0;
    link.trace_state = TraceState(state);
    if (!link.trace_id.valid()) return false;
    if (!attributes_.Decode(cursor, record.attr_count, record.attr_bytes, &link.attributes, &link.dropped_attributes)) {
      return false;
    }
  }
  return true;
}

}  // namespace spantap
