// SPDX-License-Identifier: Apache-2.0
//
// OTLP's JSON mapping (OTLP specification, "JSON Protobuf Encoding"): trace and span ids as hex, lowerCamelCase
// names, 64-bit integers as strings, enums as numbers, bytes as base64, no unknown fields.
//
// A transcoder from the encoded request, so that queue, retry, split and spool know one form only. Pure; total:
// the bytes may be anything, nesting of values is bounded.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

// False if `untrusted_request` is no ExportTraceServiceRequest; *json is then unspecified.
[[nodiscard]] bool RequestToJson(absl::string_view untrusted_request, std::string* json);

}  // namespace spantap
