// SPDX-License-Identifier: Apache-2.0
#include "exporter/model/span.h"

namespace spantap {
namespace {

// Tag and longest length of a length-delimited field of at most 4 GiB.
constexpr size_t kFieldOverhead = 1 + 5;
// Ids, kind, times, flags, dropped count, and the headers of name, state, status and the span itself.
constexpr size_t kFixedBytes = 18 + 10 + 10 + 2 + 9 + 9 + 6 + 6 + 2 + 5 * kFieldOverhead;
constexpr size_t kLinkBytes = kFieldOverhead + 18 + 10;

}  // namespace

size_t Span::ApproximateBytes() const {
  size_t bytes = kFixedBytes + name.size() + trace_state.size() + status_message.size() + attributes.bytes().size();
  for (const SpanLink& link : links) bytes += kLinkBytes + link.attributes.bytes().size();
  return bytes;
}

}  // namespace spantap
