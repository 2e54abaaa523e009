// SPDX-License-Identifier: Apache-2.0
//
// Two passes: the first groups the spans and sums exact sizes (a few additions a span), the second
// writes front to back with nanopb's low-level calls, so that every length is minimal, nothing is moved
// and the buffer is never grown in the middle. nanopb's own whole-tree encoding would size each
// attribute once per level of nesting.
#include "exporter/otlp/otlp_encoder.h"

#include <array>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "exporter/model/attributes.h"
#include "exporter/otlp/span_wire.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.npb.h"

namespace spantap {
namespace {

constexpr absl::string_view kScopeName = "spantap";
constexpr size_t kMaxCachedResources = 256;      // each is some hundred bytes; over it the cache is emptied
constexpr size_t kMaxEncodedBytes = 0x7fffffff;  // protobuf's own limit
constexpr uint32_t kNone = 0xffffffff;

void AppendField(uint32_t tag, absl::string_view body, std::string* ret) {
  uint8_t header[16];
  pb_ostream_t out = pb_ostream_from_buffer(header, sizeof(header));
  if (!PutHeader(&out, tag, body.size())) return;  // cannot be: 11 bytes at most
  ret->append(reinterpret_cast<const char*>(header), out.bytes_written);
  ret->append(body.data(), body.size());
}

}  // namespace

struct OtlpEncoder::State {
  struct Item {
    const Span* span;
    size_t size;                // of the Span message
    uint32_t next = kNone;      // in the same group
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
  SpanTexts TextsOf(const Item& item) const;
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

SpanTexts OtlpEncoder::State::TextsOf(const Item& item) const {
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
    item.size = EncodedSpanSize(spans[i], TextsOf(item));
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
