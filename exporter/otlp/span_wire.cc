// SPDX-License-Identifier: Apache-2.0
#include "exporter/otlp/span_wire.h"

#include <cstring>

#include "exporter/model/wire_reader.h"
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

constexpr size_t TextSize(absl::string_view text) { return text.empty() ? 0 : FieldSize(text.size()); }

bool PutBytes(pb_ostream_t* out, uint32_t tag, const uint8_t* bytes, size_t size) {
  return PutHeader(out, tag, size) && pb_write(out, bytes, size);
}
bool PutText(pb_ostream_t* out, uint32_t tag, absl::string_view text) {
  return text.empty() || PutBytes(out, tag, reinterpret_cast<const uint8_t*>(text.data()), text.size());
}
bool PutVarint(pb_ostream_t* out, uint32_t tag, uint64_t value) {
  return value == 0 || (pb_encode_tag(out, PB_WT_VARINT, tag) && pb_encode_varint(out, value));
}

// Fields of fixed size that follow each other: gathered here and written at once, because each call into
// nanopb costs as much as copying some hundred bytes.
class FixedFields {
 public:
  void Id(uint32_t tag, const uint8_t* bytes, uint8_t size) {
    Tag(tag, PB_WT_STRING);
    bytes_[size_++] = size;
    Copy(bytes, size);
  }
  void Enum(uint32_t tag, uint8_t value) {  // below 128
    Tag(tag, PB_WT_VARINT);
    bytes_[size_++] = value;
  }
  void Fixed64(uint32_t tag, uint64_t value) {
    if (value == 0) return;
    Tag(tag, PB_WT_64BIT);
    Copy(&value, sizeof(value));  // little-endian on every target of this program
  }
  void Fixed32(uint32_t tag, uint32_t value) {
    Tag(tag, PB_WT_32BIT);
    Copy(&value, sizeof(value));
  }
  bool Put(pb_ostream_t* out) const { return pb_write(out, bytes_, size_); }

 private:
  void Tag(uint32_t tag, pb_wire_type_t type) {
    const uint32_t key = tag << 3 | static_cast<uint32_t>(type);
    if (key >= 0x80) bytes_[size_++] = static_cast<uint8_t>(key | 0x80);
    bytes_[size_++] = static_cast<uint8_t>(key >= 0x80 ? key >> 7 : key);
  }
  void Copy(const void* data, size_t size) {
    std::memcpy(bytes_ + size_, data, size);
    size_ += size;
  }

  uint8_t bytes_[32];  // two ids take 28
  size_t size_ = 0;
};

uint32_t LinkFlags(const SpanLink& link) {
  return link.flags | (link.is_remote ? kHasIsRemote | (*link.is_remote ? kIsRemote : 0) : 0);
}

size_t CountSize(uint32_t count) { return count == 0 ? 0 : 1 + VarintSize(count); }

size_t EventSize(const SpanEvent& event) {
  return (event.time_unix_ns != 0 ? 9 : 0) + TextSize(event.name) + event.attributes.bytes().size() +
         CountSize(event.dropped_attributes);
}

size_t LinkSize(const SpanLink& link) {
  return (link.trace_id.valid() ? 18 : 0) + (link.span_id.valid() ? 10 : 0) + TextSize(link.trace_state) +
         link.attributes.bytes().size() + CountSize(link.dropped_attributes) + (LinkFlags(link) != 0 ? 5 : 0);
}

size_t StatusSize(const Span& span) {
  return TextSize(span.status_message) + (span.status != StatusCode::kUnset ? 2 : 0);
}

bool PutEvent(pb_ostream_t* out, const SpanEvent& event) {
  FixedFields time;
  time.Fixed64(EVENT_TAG(time_unix_nano), event.time_unix_ns);
  return PutHeader(out, SPAN_TAG(events), EventSize(event)) && time.Put(out) &&
         PutText(out, EVENT_TAG(name), event.name) &&
         PutRetagged(out, event.attributes.bytes(), EVENT_TAG(attributes)) &&
         PutVarint(out, EVENT_TAG(dropped_attributes_count), event.dropped_attributes);
}

bool PutLink(pb_ostream_t* out, const SpanLink& link) {
  FixedFields ids, flags;
  if (link.trace_id.valid()) ids.Id(LINK_TAG(trace_id), link.trace_id.bytes.data(), 16);
  if (link.span_id.valid()) ids.Id(LINK_TAG(span_id), link.span_id.bytes.data(), 8);
  if (LinkFlags(link) != 0) flags.Fixed32(LINK_TAG(flags), LinkFlags(link));
  return PutHeader(out, SPAN_TAG(links), LinkSize(link)) && ids.Put(out) &&
         PutText(out, LINK_TAG(trace_state), link.trace_state) &&
         PutRetagged(out, link.attributes.bytes(), LINK_TAG(attributes)) &&
         PutVarint(out, LINK_TAG(dropped_attributes_count), link.dropped_attributes) && flags.Put(out);
}

// Events, links and their counts: most spans have none.
size_t CollectionsSize(const Span& span) {
  size_t size = CountSize(span.dropped_events) + CountSize(span.dropped_links);
  for (const SpanEvent& event : span.events) size += FieldSize(EventSize(event));
  for (const SpanLink& link : span.links) size += FieldSize(LinkSize(link));
  return size;
}

bool PutCollections(pb_ostream_t* out, const Span& span) {
  bool ok = true;
  for (const SpanEvent& event : span.events) ok = ok && PutEvent(out, event);
  ok = ok && PutVarint(out, SPAN_TAG(dropped_events_count), span.dropped_events);
  for (const SpanLink& link : span.links) ok = ok && PutLink(out, link);
  return ok && PutVarint(out, SPAN_TAG(dropped_links_count), span.dropped_links);
}

bool PutStatus(pb_ostream_t* out, const Span& span) {
  const size_t size = StatusSize(span);
  return size == 0 ||
         (PutHeader(out, SPAN_TAG(status), size) && PutText(out, STATUS_TAG(message), span.status_message) &&
          PutVarint(out, STATUS_TAG(code), static_cast<uint64_t>(span.status)));
}

}  // namespace

bool PutHeader(pb_ostream_t* out, uint32_t tag, size_t length) {
  return pb_encode_tag(out, PB_WT_STRING, tag) && pb_encode_varint(out, length);
}
bool PutRaw(pb_ostream_t* out, absl::string_view bytes) {
  return pb_write(out, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

bool PutRetagged(pb_ostream_t* out, absl::string_view blob, uint32_t tag) {
  const uint8_t key = static_cast<uint8_t>(tag << 3 | PB_WT_STRING);
  WireReader reader(blob);
  size_t read = 0;
  for (WireField field; reader.Next(&field); read += field.whole.size()) {
    if (!pb_write(out, &key, 1) || !PutRaw(out, field.whole.substr(1))) return false;
  }
  return PutRaw(out, blob.substr(read));  // nothing, if the blob is well formed
}

size_t EncodedSpanSize(const Span& span) {
  size_t size = 18 + 10 + 2 + 6;  // ids, kind, flags
  if (span.parent_span_id.valid()) size += 10;
  if (span.start_unix_ns != 0) size += 9;
  if (span.end_unix_ns != 0) size += 9;
  size += TextSize(span.trace_state) + TextSize(span.name) + span.attributes.bytes().size();
  size += CountSize(span.dropped_attributes) + CollectionsSize(span);
  if (const size_t status = StatusSize(span); status != 0) size += FieldSize(status);
  return size;
}

bool PutSpan(pb_ostream_t* out, const Span& span) {
  FixedFields ids, parent, times, flags;
  ids.Id(SPAN_TAG(trace_id), span.trace_id.bytes.data(), 16);
  ids.Id(SPAN_TAG(span_id), span.span_id.bytes.data(), 8);
  if (span.parent_span_id.valid()) parent.Id(SPAN_TAG(parent_span_id), span.parent_span_id.bytes.data(), 8);
  times.Enum(SPAN_TAG(kind), static_cast<uint8_t>(span.kind));
  times.Fixed64(SPAN_TAG(start_time_unix_nano), span.start_unix_ns);
  times.Fixed64(SPAN_TAG(end_time_unix_nano), span.end_unix_ns);
  flags.Fixed32(SPAN_TAG(flags), span.flags | kHasIsRemote | (span.parent_is_remote ? kIsRemote : 0));
  return ids.Put(out) && PutText(out, SPAN_TAG(trace_state), span.trace_state) && parent.Put(out) &&
         PutText(out, SPAN_TAG(name), span.name) && times.Put(out) && PutRaw(out, span.attributes.bytes()) &&
         PutVarint(out, SPAN_TAG(dropped_attributes_count), span.dropped_attributes) && PutCollections(out, span) &&
         PutStatus(out, span) && flags.Put(out);
}

}  // namespace spantap
