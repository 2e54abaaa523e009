// SPDX-License-Identifier: Apache-2.0
//
// The parts of a request target that tokens and routes are made of. Target forms are those of RFC 9112 3.2: "/a?b",
// "http://host/a?b" (same parts), "host:443" and "*" (all path). Total: any bytes are a target.
//
// No state, no allocation; views point into what was given, or into the buffer.
#pragma once

#include <span>

#include "absl/strings/string_view.h"

namespace spantap {

struct RequestTarget {
  absl::string_view path;
  absl::string_view query;  // without "?"
};
RequestTarget SplitTarget(absl::string_view target);

// Removes the part before the first `separator`, and that, from `rest`, and returns it. At the end: all, `rest` empty.
absl::string_view TakePart(absl::string_view& rest, char separator);

// Percent-decoded once, at most buffer.size() bytes of it. "+" becomes a space wherever it stands, even written as
// "%2B": then it does not matter who encoded how (forms, RFC 3986, not at all), two spellings of a value are equal.
// What is no escape stays. `text` itself, cut, if there is nothing to decode.
absl::string_view Unescape(absl::string_view text, std::span<char> buffer);

}  // namespace spantap
