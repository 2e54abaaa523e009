// SPDX-License-Identifier: Apache-2.0
#include "exporter/otlp/span_wire.h"

#include "opentelemetry/proto/trace/v1/trace.npb.h"

// Field numbers come from the .proto files, through nanopb's generator.
#define SPAN_TAG(field) opentelemetry_proto_trace_v1_Span_##field##_tag
#define EVENT_TAG(field) opentelemetry_proto_trace_v1_Span_Event_##field##_tag
#define LINK_TAG(field) opentelemetry_proto_trace_v1_Span_Link_##field##_tag
#define STATUS_TAG(field) opentelemetry_proto_trace_v1_Status_##field##_tag

namespace spantap {
namespace {

constexpr uint32_t kHasIsRemote = 0x100;
constexpr uint32_t kIsRemote = 0x200;

constexpr size_t kTraceIdSize = 18, kSpanIdSize = 10, kTimeSize = 9;  // with their tags and lengths
constexpr size_t kSpanFlagsSize = 6, kLinkFlagsSize = 5, kEnumSize = 2;

constexpr size_t TextSize(absl::string_view text) { return text.empty() ? 0 : FieldSize(text.size()); }
constexpr size_t CountSize(uint32_t count) { return count == 0 ? 0 : 1 + VarintSize(count); }

uint32_t SpanFlags(const Span& span) { return span.flags | kHasIsRemote | (span.parent_is_remote ? kIsRemote : 0); }
uint32_t LinkFlags(const SpanLink& link) {
  return link.flags | (link.is_remote ? kHasIsRemote | (*link.is_remote ? kIsRemote : 0) : 0);
}

size_t EventSize(const SpanEvent& event) {
  return (event.time_unix_ns != 0 ? kTimeSize : 0) + TextSize(event.name) + event.attributes.bytes().size() +
         CountSize(event.dropped_attributes);
}

size_t LinkSize(const SpanLink& link) {
  return (link.trace_id.valid() ? kTraceIdSize : 0) + (link.span_id.valid() ? kSpanIdSize : 0) +
         TextSize(link.trace_state) + link.attributes.bytes().size() + CountSize(link.dropped_attributes) +
         (LinkFlags(link) != 0 ? kLinkFlagsSize : 0);
}

size_t StatusSize(const Span& span) {
  return TextSize(span.status_message) + (span.status != StatusCode::kUnset ? kEnumSize : 0);
}

// Events, links and their counts: most spans have none.
size_t CollectionsSize(const Span& span) {
  size_t size = CountSize(span.dropped_events) + CountSize(span.dropped_links);
  for (const SpanEvent& event : span.events) size += FieldSize(EventSize(event));
  for (const SpanLink& link : span.links) size += FieldSize(LinkSize(link));
  return size;
}

void WriteEvent(FieldWriter& out, const SpanEvent& event) {
  out.Header(SPAN_TAG(events), EventSize(event));
  out.Fixed64(EVENT_TAG(time_unix_nano), event.time_unix_ns);
  out.Text(EVENT_TAG(name), event.name);
  out.Attributes(EVENT_TAG(attributes), event.attributes.bytes());
  out.Varint(EVENT_TAG(dropped_attributes_count), event.dropped_attributes);
}

void WriteLink(FieldWriter& out, const SpanLink& link) {
  out.Header(SPAN_TAG(links), LinkSize(link));
  out.IdField(LINK_TAG(trace_id), link.trace_id);
  out.IdField(LINK_TAG(span_id), link.span_id);
  out.Text(LINK_TAG(trace_state), link.trace_state);
  out.Attributes(LINK_TAG(attributes), link.attributes.bytes());
  out.Varint(LINK_TAG(dropped_attributes_count), link.dropped_attributes);
  out.Fixed32(LINK_TAG(flags), LinkFlags(link));
}

void WriteStatus(FieldWriter& out, const Span& span) {
  const size_t size = StatusSize(span);
  if (size == 0) return;
  out.Header(SPAN_TAG(status), size);
  out.Text(STATUS_TAG(message), span.status_message);
  out.Varint(STATUS_TAG(code), static_cast<uint64_t>(span.status));
}

}  // namespace

size_t EncodedSpanSize(const Span& span) {
  size_t size = kEnumSize + kSpanFlagsSize;
  if (span.trace_id.valid()) size += kTraceIdSize;
  if (span.span_id.valid()) size += kSpanIdSize;
  if (span.parent_span_id.valid()) size += kSpanIdSize;
  if (span.start_unix_ns != 0) size += kTimeSize;
  if (span.end_unix_ns != 0) size += kTimeSize;
  size += TextSize(span.trace_state) + TextSize(span.name) + span.attributes.bytes().size();
  size += CountSize(span.dropped_attributes) + CollectionsSize(span);
  if (const size_t status = StatusSize(span); status != 0) size += FieldSize(status);
  return size;
}

void WriteSpan(FieldWriter& out, const Span& span) {
  out.IdField(SPAN_TAG(trace_id), span.trace_id);
  out.IdField(SPAN_TAG(span_id), span.span_id);
  out.Text(SPAN_TAG(trace_state), span.trace_state);
  out.IdField(SPAN_TAG(parent_span_id), span.parent_span_id);
  out.Text(SPAN_TAG(name), span.name);
  out.Varint(SPAN_TAG(kind), static_cast<uint64_t>(span.kind));
  out.Fixed64(SPAN_TAG(start_time_unix_nano), span.start_unix_ns);
  out.Fixed64(SPAN_TAG(end_time_unix_nano), span.end_unix_ns);
  out.Raw(span.attributes.bytes());
  out.Varint(SPAN_TAG(dropped_attributes_count), span.dropped_attributes);
  for (const SpanEvent& event : span.events) WriteEvent(out, event);
  out.Varint(SPAN_TAG(dropped_events_count), span.dropped_events);
  for (const SpanLink& link : span.links) WriteLink(out, link);
  out.Varint(SPAN_TAG(dropped_links_count), span.dropped_links);
  WriteStatus(out, span);
  out.Fixed32(SPAN_TAG(flags), SpanFlags(span));
}

}  // namespace spantap
