// SPDX-License-Identifier: Apache-2.0
//
// Does this read like the start line of an HTTP/1 message? Decides what a redacted record file shows, so
// it is strict where nothing else vouches for the bytes.
//
// Used by message_mask.cc. Pure.
#pragma once

#include "absl/strings/string_view.h"

namespace spantap {

// True if `tail`, the last eight bytes of a line, is "HTTP/1.0" or another version 1.
bool EndsInVersion(uint64_t tail);

// The bytes from a possible message's first one on, empty lines before it included. A whole first line
// must be a start line (any word is a method); a part of one must be the beginning of one, with a method
// that is in use, or (`any_method`) any upper-case word.
bool LooksLikeHead(absl::string_view bytes, bool any_method);

// Narrower, for a direction whose kind of messages is known: part of a status line; anything but that
// ("H" may become either).
bool MayBeginResponse(absl::string_view bytes);
bool MayBeginRequest(absl::string_view bytes);

}  // namespace spantap
