// SPDX-License-Identifier: Apache-2.0
//
// Does this read like the start line of an HTTP/1 message? Decides what a redacted record file shows, so
// it is strict where nothing else vouches for the bytes.
//
// Used by message_mask.cc. Pure.
#pragma once

#include "absl/strings/string_view.h"

namespace spantap {

// `line` is the beginning of a line (any length > 0): may it be one of a start line? With `any_method`
// every upper-case word is a method, else only those in use.
bool PlausibleStart(absl::string_view line, bool any_method);

// True if `tail`, the last eight bytes of a line, is "HTTP/1.0" or another version 1.
bool EndsInVersion(uint64_t tail);

// The bytes from a possible message's first one on, empty lines before it included. A whole first line
// must be a start line (any token is a method); a part of one must be plausible.
bool LooksLikeHead(absl::string_view bytes, bool any_method);

}  // namespace spantap
