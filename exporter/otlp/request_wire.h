// SPDX-License-Identifier: Apache-2.0
//
// An encoded ExportTraceServiceRequest seen from outside: how many spans it holds, and the same in two halves. For
// batches that a collector finds too large, and for those that come back from disk.
//
// Pure; total: the bytes may be anything. O(bytes) without allocation, but for the halves themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

// nullopt: not a well-formed request (down to the framing of each span; a span's own fields are not looked at).
std::optional<uint64_t> CountSpans(absl::string_view untrusted_request);

// The first half of the spans (rounded up) and the rest, each with their resources, scopes, schema URLs and unknown
// fields. False if it is malformed or has fewer than two spans.
[[nodiscard]] bool SplitRequest(absl::string_view untrusted_request, std::string* first, std::string* second);

}  // namespace spantap
