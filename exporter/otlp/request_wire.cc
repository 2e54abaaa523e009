// SPDX-License-Identifier: Apache-2.0
#include "exporter/otlp/request_wire.h"

#include "exporter/model/wire_reader.h"
#include "exporter/model/wire_writer.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.npb.h"

namespace spantap {
namespace {

// The field that leads down to spans, at each level: request, ResourceSpans, ScopeSpans.
constexpr uint32_t kChild[] = {opentelemetry_proto_collector_trace_v1_ExportTraceServiceRequest_resource_spans_tag,
                               opentelemetry_proto_trace_v1_ResourceSpans_scope_spans_tag,
                               opentelemetry_proto_trace_v1_ScopeSpans_spans_tag};
constexpr size_t kSpanLevel = 3;

std::optional<uint64_t> CountAt(size_t level, absl::string_view untrusted_message) {
  if (level == kSpanLevel) return 1;
  uint64_t count = 0;
  WireReader reader(untrusted_message);
  for (WireField field; reader.Next(&field);) {
    if (!field.Is(kChild[level], WireType::kLength)) continue;
    const std::optional<uint64_t> inner = CountAt(level + 1, field.bytes);
    if (!inner) return std::nullopt;
    count += *inner;
  }
  return reader.ok() ? std::optional(count) : std::nullopt;
}

void Append(absl::string_view bytes, std::string* out) { out->append(bytes.data(), bytes.size()); }

// Puts tag and length before what stands in `out` from `start` on.
void WrapFrom(size_t start, uint32_t number, std::string* out) {
  char header[11];
  const char tag = static_cast<char>(number << 3 | static_cast<uint32_t>(WireType::kLength));
  const char* const end = WriteHeader(header, tag, out->size() - start);
  out->insert(start, header, static_cast<size_t>(end - header));
}

class Splitter {
 public:
  Splitter(uint64_t first_spans, std::string* first, std::string* second)
      : left_(first_spans), first_(first), second_(second) {}

  // Deals out the fields of a message whose framing CountAt() has seen to be good.
  void Split(size_t level, absl::string_view message) {
    WireReader reader(message);
    for (WireField field; reader.Next(&field);) {
      if (!field.Is(kChild[level], WireType::kLength)) {
        Append(field.whole, first_);
        Append(field.whole, second_);
        continue;
      }
      const uint64_t spans = *CountAt(level + 1, field.bytes);
      if (spans <= left_) {
        Append(field.whole, first_);
        left_ -= spans;
      } else if (left_ == 0) {
        Append(field.whole, second_);
      } else {
        SplitChild(level, field);
      }
    }
  }

 private:
  // At most once a level: the border lies in one child only.
  void SplitChild(size_t level, const WireField& field) {
    const size_t first_start = first_->size(), second_start = second_->size();
    Split(level + 1, field.bytes);
    WrapFrom(first_start, field.number, first_);
    WrapFrom(second_start, field.number, second_);
  }

  uint64_t left_;  // spans that the first half has still to get
  std::string* const first_;
  std::string* const second_;
};

}  // namespace

std::optional<uint64_t> CountSpans(absl::string_view untrusted_request) { return CountAt(0, untrusted_request); }

bool SplitRequest(absl::string_view untrusted_request, std::string* first, std::string* second) {
  const std::optional<uint64_t> spans = CountSpans(untrusted_request);
  if (!spans || *spans < 2) return false;
  first->clear();
  second->clear();
  first->reserve(untrusted_request.size() / 2 + 1024);
  second->reserve(untrusted_request.size() / 2 + 1024);
  Splitter((*spans + 1) / 2, first, second).Split(0, untrusted_request);
  return true;
}

}  // namespace spantap
