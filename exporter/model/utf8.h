// SPDX-License-Identifier: Apache-2.0
//
// One step of strict UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing above
// U+10FFFF. Used by attributes.cc and tested on its own.
//
// Pure; never reads past the view.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace spantap {

struct Utf8Step {
  size_t length;  // of the character, or of the maximal ill-formed part that one U+FFFD replaces; >= 1
  bool valid;
};

// The character at text[pos]. Needs pos < text.size().
Utf8Step DecodeUtf8(absl::string_view text, size_t pos);

// Position of the first ill-formed byte, or text.size().
size_t ValidUtf8Prefix(absl::string_view text);

// The longest prefix of at most `max_bytes` that does not split a character of valid text.
absl::string_view CutUtf8(absl::string_view text, size_t max_bytes);

}  // namespace spantap
