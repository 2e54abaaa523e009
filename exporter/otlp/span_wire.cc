// SPDX-License-Identifier: Apache-2.0
#include "exporter/otlp/span_wire.h"

#include <cstring>

#include "opentelemetry/proto/trace/v1/trace.npb.h"

// Field numbers come from the .proto files, through nanopb's generator.
#define SPAN_TAG(field) opentelemetry_proto_trace_v1_Span_##field##_tag
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

size_t LinkSize(const SpanLink& link) {
  return (link.trace_id.valid() ? 18 : 0) + (link.span_id.valid() ? 10 : 0) + link.attributes.bytes().size();
}

size_t StatusSize(const Span& span, const SpanTexts& texts) {
  return TextSize(texts.status_message) + (span.status != StatusCode::kUnset ? 2 : 0);
}

bool PutLink(pb_ostream_t* out, const SpanLink& link) {
  std::string attributes;
  AppendRetagged(link.attributes.bytes(), LINK_TAG(attributes), &attributes);
  FixedFields ids;
  if (link.trace_id.valid()) ids.Id(LINK_TAG(trace_id), link.trace_id.bytes.data(), 16);
  if (link.span_id.valid()) ids.Id(LINK_TAG(span_id), link.span_id.bytes.data(), 8);
  return PutHeader(out, SPAN_TAG(links), LinkSize(link)) && ids.Put(out) && PutRaw(out, attributes);
}

bool PutStatus(pb_ostream_t* out, const Span& span, const SpanTexts& texts) {
  const size_t size = StatusSize(span, texts);
  return size == 0 ||
         (PutHeader(out, SPAN_TAG(status), size) && PutText(out, STATUS_TAG(message), texts.status_message) &&
          PutVarint(out, STATUS_TAG(code), static_cast<uint64_t>(span.status)));
}

}  // namespace

bool PutHeader(pb_ostream_t* out, uint32_t tag, size_t length) {
  return pb_encode_tag(out, PB_WT_STRING, tag) && pb_encode_varint(out, length);
}
bool PutRaw(pb_ostream_t* out, absl::string_view bytes) {
  return pb_write(out, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

void AppendRetagged(absl::string_view blob, uint32_t tag, std::string* ret) {
  size_t start = 0;
  while (start < blob.size()) {
    size_t pos = start + 1, length = 0;
    for (int shift = 0; pos < blob.size() && shift < 35; shift += 7) {
      const uint8_t byte = static_cast<uint8_t>(blob[pos++]);
      length |= static_cast<size_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    ret->push_back(static_cast<char>(tag << 3 | PB_WT_STRING));
    const absl::string_view rest = blob.substr(start + 1, pos - start - 1 + length);
    ret->append(rest.data(), rest.size());
    start = pos + length;
  }
}

size_t EncodedSpanSize(const Span& span, const SpanTexts& texts) {
  size_t size = 18 + 10 + 2 + 6;  // ids, kind, flags
  if (span.parent_span_id.valid()) size += 10;
  if (span.start_unix_ns != 0) size += 9;
  if (span.end_unix_ns != 0) size += 9;
  if (span.dropped_attributes != 0) size += 1 + VarintSize(span.dropped_attributes);
  size += TextSize(texts.trace_state) + TextSize(texts.name) + span.attributes.bytes().size();
  for (const SpanLink& link : span.links) size += FieldSize(LinkSize(link));
  if (const size_t status = StatusSize(span, texts); status != 0) size += FieldSize(status);
  return size;
}

bool PutSpan(pb_ostream_t* out, const Span& span, const SpanTexts& texts) {
  FixedFields ids, parent, times, flags;
  ids.Id(SPAN_TAG(trace_id), span.trace_id.bytes.data(), 16);
  ids.Id(SPAN_TAG(span_id), span.span_id.bytes.data(), 8);
  if (span.parent_span_id.valid()) parent.Id(SPAN_TAG(parent_span_id), span.parent_span_id.bytes.data(), 8);
  times.Enum(SPAN_TAG(kind), static_cast<uint8_t>(span.kind));
  times.Fixed64(SPAN_TAG(start_time_unix_nano), span.start_unix_ns);
  times.Fixed64(SPAN_TAG(end_time_unix_nano), span.end_unix_ns);
  flags.Fixed32(SPAN_TAG(flags), span.flags | kHasIsRemote | (span.parent_is_remote ? kIsRemote : 0));
  bool ok = ids.Put(out) && PutText(out, SPAN_TAG(trace_state), texts.trace_state) && parent.Put(out) &&
            PutText(out, SPAN_TAG(name), texts.name) && times.Put(out) && PutRaw(out, span.attributes.bytes()) &&
            PutVarint(out, SPAN_TAG(dropped_attributes_count), span.dropped_attributes);
  for (const SpanLink& link : span.links) ok = ok && PutLink(out, link);
  return ok && PutStatus(out, span, texts) && flags.Put(out);
}

}  // namespace spantap
