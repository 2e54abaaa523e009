// SPDX-License-Identifier: Apache-2.0
//
// Limits of a span's collections (OpenTelemetry specification, "Span Limits", and OTEL_SPAN_*_LIMIT,
// OTEL_ATTRIBUTE_*): what is over a limit is discarded and counted in the span's dropped_* fields.
//
// Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "exporter/model/span.h"

namespace spantap {

struct SpanLimits {
  uint32_t attributes = 128;
  uint32_t events = 128;
  uint32_t links = 128;
  uint32_t event_attributes = 128;
  uint32_t link_attributes = 128;
  // Longest string value (also inside arrays) of a span's, event's or link's attributes, in characters.
  size_t value_characters = std::numeric_limits<size_t>::max();
};

// Cuts `span` to `limits`. O(1) for a span within them unless value_characters is set.
void ApplyLimits(const SpanLimits& limits, Span& span);

}  // namespace spantap
