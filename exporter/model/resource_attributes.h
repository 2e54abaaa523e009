// SPDX-License-Identifier: Apache-2.0
//
// OTEL_RESOURCE_ATTRIBUTES, as lists of pairs: "key=value,key=value", percent-encoded
// (https://opentelemetry.io/docs/specs/otel/resource/sdk/).
//
// Used by agent/spans and exporter/intake (of other processes), agent/cli and exporter/embedded (their own). Pure.
// Memory: at most kMaxResourceAttributes pairs; a list with more is discarded like any other malformed one.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace spantap {

inline constexpr size_t kMaxResourceAttributes = 128;

using ResourceAttributes = std::vector<std::pair<std::string, std::string>>;

// In order of first appearance, the last value of a key wins. nullopt on any error: the specification
// discards the whole variable then. Empty elements ("a=b,") are no error.
std::optional<ResourceAttributes> ParseResourceAttributes(absl::string_view text);

// "%41" -> "A"; false if a '%' lacks its two digits.
bool PercentDecode(absl::string_view text, std::string* out);

}  // namespace spantap
