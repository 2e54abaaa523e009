// SPDX-License-Identifier: Apache-2.0
//
// Two passes: the first groups the spans and sums exact sizes (a few additions a span), the second
// writes front to back with nanopb's low-level calls, so that every length is minimal, nothing is moved
// and the buffer is never grown in the middle. nanopb's own whole-tree encoding would size each
// attribute once per level of nesting.
#include "exporter/otlp/otlp_encoder.h"

#include <pb_encode.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "exporter/model/attributes.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.npb.h"

// Field numbers come from the .proto files, through nanopb's generator.
#define SPAN_TAG(field) opentelemetry_proto_trace_v1_Span_##field##_tag
#define LINK_TAG(field) opentelemetry_proto_trace_v1_Span_Link_##field##_tag
#define STATUS_TAG(field) opentelemetry_proto_trace_v1_Status_##field##_tag

namespace spantap {
namespace {

constexpr absl::string_view kScopeName = "spantap";
constexpr size_t kMaxCachedResources = 256;       // each is some hundred bytes; over it the cache is emptied
constexpr size_t kMaxEncodedBytes = 0x7fffffff;   // protobuf's own limit
constexpr uint32_t kNone = 0xffffffff;
constexpr uint32_t kHasIsRemote = 0x100;
constexpr uint32_t kIsRemote = 0x200;

constexpr size_t VarintSize(uint64_t value) {
  size_t size = 1;
  while (value >>= 7) ++size;
  return size;
}
// A length-delimited field whose number is below 16, as all of ours are.
constexpr size_t FieldSize(size_t length) { return 1 + VarintSize(length) + length; }
constexpr size_t TextSize(absl::string_view text) { return text.empty() ? 0 : FieldSize(text.size()); }

bool PutHeader(pb_ostream_t* out, uint32_t tag, size_t length) {
  return pb_encode_tag(out, PB_WT_STRING, tag) && pb_encode_varint(out, length);
}
bool PutBytes(pb_ostream_t* out, uint32_t tag, const uint8_t* bytes, size_t size) {
  return PutHeader(out, tag, size) && pb_write(out, bytes, size);
}
bool PutText(pb_ostream_t* out, uint32_t tag, absl::string_view text) {
  return text.empty() || PutBytes(out, tag, reinterpret_cast<const uint8_t*>(text.data()), text.size());
}
bool PutVarint(pb_ostream_t* out, uint32_t tag, uint64_t value) {
  return value == 0 || (pb_encode_tag(out, PB_WT_VARINT, tag) && pb_encode_varint(out, value));
}
bool PutRaw(pb_ostream_t* out, absl::string_view bytes) {
  return pb_write(out, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
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

// Appends the blob with each field's tag replaced: attributes have another number outside Span.
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

void AppendField(uint32_t tag, absl::string_view body, std::string* ret) {
  uint8_t header[16];
  pb_ostream_t out = pb_ostream_from_buffer(header, sizeof(header));
  PutHeader(&out, tag, body.size());
  ret->append(reinterpret_cast<const char*>(header), out.bytes_written);
  ret->append(body.data(), body.size());
}

// The three strings of a span, valid UTF-8.
struct Texts {
  absl::string_view name, trace_state, status_message;
};

size_t LinkSize(const SpanLink& link) {
  return (link.trace_id.valid() ? 18 : 0) + (link.span_id.valid() ? 10 : 0) + link.attributes.bytes().size();
}

size_t StatusSize(const Span& span, const Texts& texts) {
  return TextSize(texts.status_message) + (span.status != StatusCode::kUnset ? 2 : 0);
}

size_t SpanSize(const Span& span, const Texts& texts) {
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

bool PutLink(pb_ostream_t* out, const SpanLink& link) {
  std::string attributes;
  AppendRetagged(link.attributes.bytes(), LINK_TAG(attributes), &attributes);
  FixedFields ids;
  if (link.trace_id.valid()) ids.Id(LINK_TAG(trace_id), link.trace_id.bytes.data(), 16);
  if (link.span_id.valid()) ids.Id(LINK_TAG(span_id), link.span_id.bytes.data(), 8);
  return PutHeader(out, SPAN_TAG(links), LinkSize(link)) && ids.Put(out) && PutRaw(out, attributes);
}

bool PutStatus(pb_ostream_t* out, const Span& span, const Texts& texts) {
  const size_t size = StatusSize(span, texts);
  return size == 0 || (PutHeader(out, SPAN_TAG(status), size) &&
                       PutText(out, STATUS_TAG(message), texts.status_message) &&
                       PutVarint(out, STATUS_TAG(code), static_cast<uint64_t>(span.status)));
}

bool PutSpan(pb_ostream_t* out, const Span& span, const Texts& texts) {
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

}  // namespace

struct OtlpEncoder::State {
  struct Item {
    const Span* span;
    size_t size;              // of the Span message
    uint32_t next = kNone;    // in the same group
    uint32_t repaired = kNone;  // its place in `repaired`, if a string was not valid UTF-8
  };
  struct Group {
    const std::string* resource;  // the encoded ResourceSpans.resource field
    uint32_t first, last;
    size_t spans_bytes = 0;  // with their headers
  };
  struct CachedResource {
    std::shared_ptr<const Resource> keep;  // so that its address is not used again while it is a key
    std::string field;
  };

  std::string scope;  // the encoded ScopeSpans.scope field
  absl::flat_hash_map<const Resource*, std::unique_ptr<CachedResource>> resources;
  absl::flat_hash_map<const Resource*, uint32_t> group_of;
  std::vector<Group> groups;
  std::vector<Item> items;
  std::vector<std::array<std::string, 3>> repaired;
  std::string buffer;

  const std::string* ResourceField(const std::shared_ptr<const Resource>& resource);
  Texts TextsOf(const Item& item) const;
  uint32_t RepairedTexts(const Span& span);
  void Collect(absl::Span<const Span> spans);
  size_t ScopeSpansSize(const Group& group) const { return scope.size() + group.spans_bytes; }
  size_t ResourceSpansSize(const Group& group) const {
    return group.resource->size() + FieldSize(ScopeSpansSize(group));
  }
  bool PutGroup(pb_ostream_t* out, const Group& group) const;
};

const std::string* OtlpEncoder::State::ResourceField(const std::shared_ptr<const Resource>& resource) {
  auto [it, inserted] = resources.try_emplace(resource.get());
  if (!inserted) return &it->second->field;
  it->second = std::make_unique<CachedResource>();
  it->second->keep = resource;
  if (resource != nullptr) {
    std::string body;
    AppendRetagged(resource->attributes.bytes(), opentelemetry_proto_resource_v1_Resource_attributes_tag, &body);
    AppendField(opentelemetry_proto_trace_v1_ResourceSpans_resource_tag, body, &it->second->field);
  }
  return &it->second->field;
}

// kNone: all of them are valid as they are (nearly always).
uint32_t OtlpEncoder::State::RepairedTexts(const Span& span) {
  std::array<std::string, 3> storage;
  const absl::string_view name = RepairUtf8(span.name, &storage[0]);
  const absl::string_view trace_state = RepairUtf8(span.trace_state, &storage[1]);
  const absl::string_view message = RepairUtf8(span.status_message, &storage[2]);
  if (storage[0].empty() && storage[1].empty() && storage[2].empty()) return kNone;
  std::array<std::string, 3> all = {std::string(name), std::string(trace_state), std::string(message)};
  repaired.push_back(std::move(all));
  return static_cast<uint32_t>(repaired.size() - 1);
}

Texts OtlpEncoder::State::TextsOf(const Item& item) const {
  if (item.repaired == kNone) return {item.span->name, item.span->trace_state, item.span->status_message};
  const std::array<std::string, 3>& texts = repaired[item.repaired];
  return {texts[0], texts[1], texts[2]};
}

void OtlpEncoder::State::Collect(absl::Span<const Span> spans) {
  // Between batches only: groups point into the cache.
  if (resources.size() > kMaxCachedResources) resources.clear();
  group_of.clear();
  groups.clear();
  repaired.clear();
  items.resize(spans.size());
  uint32_t group = 0;
  for (uint32_t i = 0; i < spans.size(); ++i) {
    const Resource* resource = spans[i].resource.get();
    if (i == 0 || resource != spans[i - 1].resource.get()) {
      const auto [it, inserted] = group_of.try_emplace(resource, static_cast<uint32_t>(groups.size()));
      if (inserted) groups.push_back({ResourceField(spans[i].resource), i, i});
      group = it->second;
    }
    Item& item = items[i] = {&spans[i], 0};
    item.repaired = RepairedTexts(spans[i]);
    item.size = SpanSize(spans[i], TextsOf(item));
    groups[group].spans_bytes += FieldSize(item.size);
    if (groups[group].last != i) items[groups[group].last].next = i;
    groups[group].last = i;
  }
}

bool OtlpEncoder::State::PutGroup(pb_ostream_t* out, const Group& group) const {
  bool ok = PutHeader(out, opentelemetry_proto_collector_trace_v1_ExportTraceServiceRequest_resource_spans_tag,
                      ResourceSpansSize(group)) &&
            PutRaw(out, *group.resource) &&
            PutHeader(out, opentelemetry_proto_trace_v1_ResourceSpans_scope_spans_tag, ScopeSpansSize(group)) &&
            PutRaw(out, scope);
  for (uint32_t i = group.first; ok && i != kNone; i = items[i].next) {
    ok = PutHeader(out, opentelemetry_proto_trace_v1_ScopeSpans_spans_tag, items[i].size) &&
         PutSpan(out, *items[i].span, TextsOf(items[i]));
  }
  return ok;
}

OtlpEncoder::OtlpEncoder(absl::string_view scope_version) : state_(std::make_unique<State>()) {
  std::string body;
  AppendField(opentelemetry_proto_common_v1_InstrumentationScope_name_tag, kScopeName, &body);
  AppendField(opentelemetry_proto_common_v1_InstrumentationScope_version_tag, scope_version, &body);
  AppendField(opentelemetry_proto_trace_v1_ScopeSpans_scope_tag, body, &state_->scope);
}
OtlpEncoder::~OtlpEncoder() = default;

absl::string_view OtlpEncoder::Encode(absl::Span<const Span> spans) {
  State& state = *state_;
  state.Collect(spans);
  size_t size = 0;
  for (const State::Group& group : state.groups) size += FieldSize(state.ResourceSpansSize(group));
  if (size > kMaxEncodedBytes) return {};
  if (state.buffer.size() < size) state.buffer.resize(size);
  pb_ostream_t out = pb_ostream_from_buffer(reinterpret_cast<uint8_t*>(state.buffer.data()), size);
  for (const State::Group& group : state.groups) {
    if (!state.PutGroup(&out, group)) return {};
  }
  // Unequal would mean that a length written before is wrong.
  if (out.bytes_written != size) return {};
  return absl::string_view(state.buffer.data(), size);
}

}  // namespace spantap
