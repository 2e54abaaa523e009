// SPDX-License-Identifier: Apache-2.0
//
// Spans that two processes can make alike without talking: each follows from (seed, index) alone. export_driver makes
// them as our model, span_sink as protobuf's message, by the plainest means, and compares byte for byte. The span id
// is the seed and the index, so whoever sees a span knows which it is (tests/e2e/fake_collector reads it, too).
//
// Covers every field and every type of attribute that the model has. Immutable after construction; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "exporter/model/span.h"
#include "opentelemetry/proto/trace/v1/trace.pb.h"

namespace spantap {

class MadeSpans {
 public:
  using ProtoSpan = opentelemetry::proto::trace::v1::Span;
  using ProtoResource = opentelemetry::proto::resource::v1::Resource;

  // `filler`: bytes of one more attribute, to make spans large. `seed` is not 0: a span id must not be.
  explicit MadeSpans(uint32_t seed, size_t filler = 0);

  Span Model(uint32_t index) const;
  // `proto` is cleared first.
  void Proto(uint32_t index, ProtoSpan* proto) const;
  const ProtoResource& ResourceOf(uint32_t index) const { return proto_resources_[Which(index)]; }
  const std::string& SchemaUrlOf(uint32_t index) const { return schema_urls_[Which(index)]; }

  struct Key {
    uint32_t seed;
    uint32_t index;
  };
  // nullopt: not a span id.
  static std::optional<Key> KeyOf(absl::string_view span_id);

 private:
  // Neighbours share a resource, as in life; the last has none.
  static constexpr uint32_t kResources = 5;
  static uint32_t Which(uint32_t index) { return index / 16 % kResources; }

  const uint32_t seed_;
  const std::string filler_;
  std::vector<std::shared_ptr<const Resource>> resources_;
  std::vector<ProtoResource> proto_resources_;
  std::vector<std::string> schema_urls_;
};

}  // namespace spantap
