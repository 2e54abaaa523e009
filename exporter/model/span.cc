// SPDX-License-Identifier: Apache-2.0
#include "exporter/model/span.h"

namespace spantap {
namespace {

// Tag and longest length of a length-delimited field of at most 4 GiB.
constexpr size_t kFieldOverhead = 1 + 5;
constexpr size_t kCountBytes = 1 + 5;  // a dropped count
// Ids, kind, times, flags, counts, status code, and the headers of name, state, status, its text and the span itself.
constexpr size_t kFixedBytes = 18 + 10 + 10 + 2 + 9 + 9 + 6 + 3 * kCountBytes + 2 + 5 * kFieldOverhead;
constexpr size_t kEventBytes = kFieldOverhead + 9 + kFieldOverhead + kCountBytes;
constexpr size_t kLinkBytes = kFieldOverhead + 18 + 10 + kFieldOverhead + kCountBytes + 5;

}  // namespace

size_t Span::ApproximateBytes() const {
  size_t bytes = kFixedBytes + name.size() + trace_state.size() + status_message.size() + attributes.bytes().size();
  for (const SpanEvent& event : events) bytes += kEventBytes + event.name.size() + event.attributes.bytes().size();
  for (const SpanLink& link : links) bytes += kLinkBytes + link.trace_state.size() + link.attributes.bytes().size();
  return bytes;
}

}  // namespace spantap
