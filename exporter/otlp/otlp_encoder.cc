// SPDX-License-Identifier: Apache-2.0
//
// Two passes: the first groups the spans and sums exact sizes (a few additions a span), the second
// writes front to back with nanopb's low-level calls, so that every length is minimal, nothing is moved
// and the buffer is never grown in the middle. nanopb's own whole-tree encoding would size each
// attribute once per level of nesting.
#include "exporter/otlp/otlp_encoder.h"

#include <deque>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "exporter/model/attributes.h"
#include "exporter/model/utf8.h"
#include "exporter/otlp/span_wire.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.npb.h"

namespace spantap {
namespace {

constexpr absl::string_view kScopeName = "spantap";
constexpr size_t kMaxCachedResources = 256;      // each is some hundred bytes; over it the cache is emptied
constexpr size_t kMaxEncodedBytes = 0x7fffffff;  // protobuf's own limit
constexpr uint32_t kNone = 0xffffffff;
constexpr uint32_t kSchemaUrlTag = opentelemetry_proto_trace_v1_ResourceSpans_schema_url_tag;
static_assert(kSchemaUrlTag == opentelemetry_proto_trace_v1_ScopeSpans_schema_url_tag);

// Appends the `size` bytes that `write(FieldWriter&)` writes.
template <typename Write>
void AppendBytes(size_t size, Write write, std::string* ret) {
  const size_t start = ret->size();
  ret->resize(start + size);
  pb_ostream_t stream = pb_ostream_from_buffer(reinterpret_cast<uint8_t*>(ret->data() + start), size);
  FieldWriter out(&stream);
  write(out);
  if (!out.Finish()) ret->resize(start);  // cannot be: the sizes are exact
}

void AppendText(uint32_t tag, absl::string_view text, std::string* ret) {
  if (text.empty()) return;
  AppendBytes(
      FieldSize(text.size()), [tag, text](FieldWriter& out) { out.Text(tag, text); }, ret);
}

std::string ResourceField(const Resource& resource) {
  const absl::string_view attributes = resource.attributes.bytes();
  const uint32_t dropped = resource.dropped_attributes;
  const size_t size = attributes.size() + (dropped == 0 ? 0 : 1 + VarintSize(dropped));
  std::string field;
  AppendBytes(
      FieldSize(size),
      [=](FieldWriter& out) {
        out.Header(opentelemetry_proto_trace_v1_ResourceSpans_resource_tag, size);
        out.Attributes(opentelemetry_proto_resource_v1_Resource_attributes_tag, attributes);
        out.Varint(opentelemetry_proto_resource_v1_Resource_dropped_attributes_count_tag, dropped);
      },
      &field);
  return field;
}

bool Valid(const std::string& text) { return ValidUtf8Prefix(text) == text.size(); }

bool TextsValid(const Span& span) {
  bool valid = Valid(span.name) && Valid(span.trace_state) && Valid(span.status_message);
  for (const SpanEvent& event : span.events) valid = valid && Valid(event.name);
  for (const SpanLink& link : span.links) valid = valid && Valid(link.trace_state);
  return valid;
}

void Repair(std::string* text) {
  std::string storage;
  if (!Valid(*text)) *text = std::string(RepairUtf8(*text, &storage));
}

Span WithRepairedTexts(Span span) {
  Repair(&span.name);
  Repair(&span.trace_state);
  Repair(&span.status_message);
  for (SpanEvent& event : span.events) Repair(&event.name);
  for (SpanLink& link : span.links) Repair(&link.trace_state);
  return span;
}

// What is encoded once for all spans of a resource.
struct CachedResource {
  std::shared_ptr<const Resource> keep;  // so that its address is not used again while it is a key
  std::string field;                     // ResourceSpans.resource
  std::string schema_url;                // ResourceSpans.schema_url, and ScopeSpans.schema_url

  explicit CachedResource(std::shared_ptr<const Resource> resource) : keep(std::move(resource)) {
    if (keep == nullptr) return;
    field = ResourceField(*keep);
    std::string storage;
    AppendText(kSchemaUrlTag, RepairUtf8(keep->schema_url, &storage), &schema_url);
  }
};

}  // namespace

struct OtlpEncoder::State {
  struct Item {
    const Span* span;
    size_t size;            // of the Span message
    uint32_t next = kNone;  // in the same group
  };
  struct Group {
    const CachedResource* resource;
    uint32_t first, last;
    size_t spans_bytes = 0;  // with their headers
  };

  std::string scope;  // the encoded ScopeSpans.scope field
  absl::flat_hash_map<const Resource*, std::unique_ptr<CachedResource>> resources;
  absl::flat_hash_map<const Resource*, uint32_t> group_of;
  std::vector<Group> groups;
  std::vector<Item> items;
  std::deque<Span> repaired;  // copies of those whose texts were not valid UTF-8 (nearly never)
  std::string buffer;

  const CachedResource* Cached(const std::shared_ptr<const Resource>& resource);
  void Collect(absl::Span<const Span> spans);
  size_t ScopeSpansSize(const Group& group) const {
    return scope.size() + group.spans_bytes + group.resource->schema_url.size();
  }
  size_t ResourceSpansSize(const Group& group) const {
    return group.resource->field.size() + FieldSize(ScopeSpansSize(group)) + group.resource->schema_url.size();
  }
  void WriteGroup(FieldWriter& out, const Group& group) const;
};

const CachedResource* OtlpEncoder::State::Cached(const std::shared_ptr<const Resource>& resource) {
  std::unique_ptr<CachedResource>& cached = resources[resource.get()];
  if (cached == nullptr) cached = std::make_unique<CachedResource>(resource);
  return cached.get();
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
      if (inserted) groups.push_back({Cached(spans[i].resource), i, i});
      group = it->second;
    }
    const Span* span = &spans[i];
    if (!TextsValid(*span)) span = &repaired.emplace_back(WithRepairedTexts(*span));
    items[i] = {span, EncodedSpanSize(*span)};
    groups[group].spans_bytes += FieldSize(items[i].size);
    if (groups[group].last != i) items[groups[group].last].next = i;
    groups[group].last = i;
  }
}

void OtlpEncoder::State::WriteGroup(FieldWriter& out, const Group& group) const {
  out.Header(opentelemetry_proto_collector_trace_v1_ExportTraceServiceRequest_resource_spans_tag,
             ResourceSpansSize(group));
  out.Raw(group.resource->field);
  out.Header(opentelemetry_proto_trace_v1_ResourceSpans_scope_spans_tag, ScopeSpansSize(group));
  out.Raw(scope);
  for (uint32_t i = group.first; i != kNone; i = items[i].next) {
    out.Header(opentelemetry_proto_trace_v1_ScopeSpans_spans_tag, items[i].size);
    WriteSpan(out, *items[i].span);
  }
  out.Raw(group.resource->schema_url);  // of the scope...
  out.Raw(group.resource->schema_url);  // ...and of the resource
}

OtlpEncoder::OtlpEncoder(absl::string_view scope_version) : state_(std::make_unique<State>()) {
  std::string body;
  AppendText(opentelemetry_proto_common_v1_InstrumentationScope_name_tag, kScopeName, &body);
  AppendText(opentelemetry_proto_common_v1_InstrumentationScope_version_tag, scope_version, &body);
  AppendText(opentelemetry_proto_trace_v1_ScopeSpans_scope_tag, body, &state_->scope);
}
OtlpEncoder::~OtlpEncoder() = default;

absl::string_view OtlpEncoder::Encode(absl::Span<const Span> spans) {
  State& state = *state_;
  state.Collect(spans);
  size_t size = 0;
  for (const State::Group& group : state.groups) size += FieldSize(state.ResourceSpansSize(group));
  if (size > kMaxEncodedBytes) return {};
  if (state.buffer.size() < size) state.buffer.resize(size);
  pb_ostream_t stream = pb_ostream_from_buffer(reinterpret_cast<uint8_t*>(state.buffer.data()), size);
  FieldWriter out(&stream);
  for (const State::Group& group : state.groups) state.WriteGroup(out, group);
  // Unequal would mean that a length written before is wrong.
  if (!out.Finish() || stream.bytes_written != size) return {};
  return absl::string_view(state.buffer.data(), size);
}

}  // namespace spantap
