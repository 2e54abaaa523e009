// SPDX-License-Identifier: Apache-2.0
#include "exporter/model/limits.h"

namespace spantap {
namespace {

// What came later is what goes: the specification discards what is added to a full collection.
template <typename T>
void KeepFirst(uint32_t max, std::vector<T>* all, uint32_t* dropped) {
  if (all->size() <= max) return;
  *dropped += static_cast<uint32_t>(all->size() - max);
  all->erase(all->begin() + max, all->end());
}

void LimitAttributes(uint32_t max, size_t max_characters, AttributeBlob* attributes, uint32_t* dropped) {
  *dropped += attributes->KeepFirst(max);
  if (max_characters != std::numeric_limits<size_t>::max()) attributes->CutValues(max_characters);
}

}  // namespace

void ApplyLimits(const SpanLimits& limits, Span& span) {
  LimitAttributes(limits.attributes, limits.value_characters, &span.attributes, &span.dropped_attributes);
  KeepFirst(limits.events, &span.events, &span.dropped_events);
  KeepFirst(limits.links, &span.links, &span.dropped_links);
  for (SpanEvent& event : span.events) {
    LimitAttributes(limits.event_attributes, limits.value_characters, &event.attributes, &event.dropped_attributes);
  }
  for (SpanLink& link : span.links) {
    LimitAttributes(limits.link_attributes, limits.value_characters, &link.attributes, &link.dropped_attributes);
  }
}

}  // namespace spantap
