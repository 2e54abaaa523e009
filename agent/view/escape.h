// SPDX-License-Identifier: Apache-2.0
//
// Untrusted bytes -> text that a terminal prints as it is: no control characters, no escape sequences,
// no bidirectional overrides, and every byte one column wide.
//
// Used by the text renderer for everything that came from the wire or from a process's environment.
// Pure. Output at most four times the input, and at most `max_bytes` of input are looked at.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

// Printable ASCII stays, apart from the backslash; all other bytes become \xNN. What is cut off at
// `max_bytes` is marked by "...".
void AppendEscaped(absl::string_view untrusted, size_t max_bytes, std::string* out);

// A JSON string with its quotes; invalid UTF-8 becomes U+FFFD, cut like an attribute value.
void AppendJsonString(absl::string_view untrusted, std::string* out);

}  // namespace spantap
