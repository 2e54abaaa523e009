// SPDX-License-Identifier: Apache-2.0
//
// The text of OTEL_EXPORTER_OTLP_HEADERS: W3C Baggage without properties, "NAME=VALUE,NAME=VALUE", percent-encoded
// (OpenTelemetry specification, "OpenTelemetry Protocol Exporter").
//
// Used by agent/cli and exporter/embedded. Pure; any thread. Texts are untrusted and bounded by the environment's size.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spantap {

// InvalidArgument: what is wrong, as the end of a sentence. No message repeats a part of the text: it may be a secret,
// wherever the mistake is. Whether they can be headers, CheckHeaders() says.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseHeaderList(absl::string_view text);

}  // namespace spantap
