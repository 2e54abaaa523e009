// SPDX-License-Identifier: Apache-2.0
//
// bench_export_values.h as our spans, built as the agent builds them: attributes encoded when they are set.
//
// Any thread.
#pragma once

#include <memory>
#include <vector>

#include "exporter/model/span.h"
#include "tests/bench/bench_export_values.h"

namespace spantap {

inline std::shared_ptr<const Resource> MakeBenchResource() {
  auto resource = std::make_shared<Resource>();
  resource->attributes.AddString("service.name", "productpage");
  return resource;
}

inline Span MakeBenchSpan(const BenchSpanValues& values, const std::shared_ptr<const Resource>& resource) {
  Span span;
  span.trace_id.bytes = values.trace_id;
  span.span_id.bytes = values.span_id;
  span.parent_span_id.bytes = values.parent_span_id;
  span.flags = kFlagSampled;
  span.kind = SpanKind::kServer;
  span.start_unix_ns = values.start_unix_ns;
  span.end_unix_ns = values.start_unix_ns + values.duration_ns;
  span.name = values.name;
  span.attributes.reserve(512);
  for (const auto& [key, text] : values.texts) span.attributes.AddString(key, text);
  for (const auto& [key, number] : values.numbers) span.attributes.AddInt(key, number);
  span.resource = resource;
  return span;
}

inline std::vector<Span> MakeBenchSpans(size_t count) {
  const auto resource = MakeBenchResource();
  std::vector<Span> spans;
  for (const BenchSpanValues& values : MakeBenchValues(count)) spans.push_back(MakeBenchSpan(values, resource));
  return spans;
}

}  // namespace spantap
