// SPDX-License-Identifier: Apache-2.0
//
// OTLP's JSON mapping (OTLP specification, "JSON Protobuf Encoding"): trace and span ids as hex, lowerCamelCase
// names, 64-bit integers as strings, enums as numbers, bytes as base64, doubles that are no numbers as strings, no
// unknown fields. Fields with their default value are left out. What is not UTF-8 is repaired.
//
// A transcoder from the encoded request, so that queue, retry, split and spool know one form only. Pure; total:
// the bytes may be anything, values in values are kept to a depth of 32. The text is about 1.6 times the request, at
// most ten times.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

// False if `untrusted_request` is no ExportTraceServiceRequest; *json is then unspecified. Writes over *json, whose
// memory is used again.
[[nodiscard]] bool RequestToJson(absl::string_view untrusted_request, std::string* json);

}  // namespace spantap
