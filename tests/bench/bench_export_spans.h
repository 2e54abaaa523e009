// SPDX-License-Identifier: Apache-2.0
//
// The spans of the export benches: HTTP server spans as the agent makes them, 8 strings and 2 numbers, some 540 bytes
// encoded; the mix of bench_encode.cc. Made once, copied where many are needed.
//
// Values; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "exporter/model/span.h"
#include "exporter/model/trace_context.h"

namespace spantap {

inline Span MakeBenchSpan(SeededIds& ids, size_t index, const std::shared_ptr<const Resource>& resource) {
  const std::string id = FormatHex(ids.NewTraceId());
  Span span;
  span.trace_id = ids.NewTraceId();
  span.span_id = ids.NewSpanId();
  span.parent_span_id = ids.NewSpanId();
  span.flags = kFlagSampled;
  span.kind = SpanKind::kServer;
  span.start_unix_ns = 1'760'000'000'000'000'000 + index * 1'000'003;
  span.end_unix_ns = span.start_unix_ns + 2'345'678;
  span.name = "GET /api/v1/products/{id}";
  span.attributes.AddString("http.request.method", "GET");
  span.attributes.AddString("url.scheme", "http");
  span.attributes.AddString("url.path", "/api/v1/products/" + id.substr(0, 12));
  span.attributes.AddString("server.address", "productpage.default.svc.cluster.local");
  span.attributes.AddString("client.address", "10.244.1." + std::to_string(index % 250));
  span.attributes.AddString("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36");
  span.attributes.AddString("spantap.request_id", id);
  span.attributes.AddString("network.protocol.version", "1.1");
  span.attributes.AddInt("http.response.status_code", 200);
  span.attributes.AddInt("server.port", 8080);
  span.resource = resource;
  return span;
}

inline std::vector<Span> MakeBenchSpans(size_t count) {
  auto resource = std::make_shared<Resource>();
  resource->attributes.AddString("service.name", "productpage");
  SeededIds ids(1);
  std::vector<Span> spans;
  for (size_t i = 0; i < count; ++i) spans.push_back(MakeBenchSpan(ids, i % 512, resource));
  return spans;
}

}  // namespace spantap
