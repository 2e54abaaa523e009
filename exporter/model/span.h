// SPDX-License-Identifier: Apache-2.0
//
// The span model: what the agent hands to the exporter. Fixed fields are plain; attributes are already
// OTLP bytes, encoded once when they are set.
//
// Movable values. A span belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "exporter/model/attributes.h"
#include "exporter/model/trace_context.h"

namespace spantap {

// Values of opentelemetry.proto.trace.v1.Span.SpanKind.
enum class SpanKind : uint8_t { kInternal = 1, kServer = 2, kClient = 3, kProducer = 4, kConsumer = 5 };
// Values of opentelemetry.proto.trace.v1.Status.StatusCode.
enum class StatusCode : uint8_t { kUnset = 0, kOk = 1, kError = 2 };

// A resource and its scope, encoded once: the bytes of a ResourceSpans message up to its spans.
// Immutable. Shared, because spans of a process outlive our knowledge of it in the queue.
struct Resource {
  std::string service_name;  // for people; also in `attributes`
  AttributeBlob attributes;  // opentelemetry.proto.resource.v1.Resource.attributes
  uint32_t dropped_attributes = 0;
  std::string schema_url;  // of the resource and of its spans; may be empty
};

struct SpanLink {
  TraceId trace_id;
  SpanId span_id;                 // may be invalid: then the link names a trace only
  uint8_t flags = 0;              // W3C flags
  std::optional<bool> is_remote;  // whether the context came over the wire; nullopt: not known
  uint32_t dropped_attributes = 0;
  std::string trace_state;
  AttributeBlob attributes;
};

struct SpanEvent {
  uint64_t time_unix_ns = 0;
  uint32_t dropped_attributes = 0;
  std::string name;
  AttributeBlob attributes;
};

struct Span {
  TraceId trace_id;
  SpanId span_id;
  SpanId parent_span_id;  // invalid: a root
  uint8_t flags = 0;      // W3C flags
  bool parent_is_remote = false;
  SpanKind kind = SpanKind::kInternal;
  StatusCode status = StatusCode::kUnset;
  uint64_t start_unix_ns = 0;
  uint64_t end_unix_ns = 0;
  uint32_t dropped_attributes = 0;
  uint32_t dropped_events = 0;
  uint32_t dropped_links = 0;
  std::string name;
  std::string trace_state;
  std::string status_message;
  AttributeBlob attributes;
  std::vector<SpanEvent> events;
  std::vector<SpanLink> links;
  std::shared_ptr<const Resource> resource;

  // Upper bound of the encoded size (if the strings are valid UTF-8), for queue limits. O(events + links).
  size_t ApproximateBytes() const;
};

}  // namespace spantap
