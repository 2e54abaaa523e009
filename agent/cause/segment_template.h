// SPDX-License-Identifier: Apache-2.0
//
// What one path segment has in common with its like: "item-123" -> "item-*", "app.3f9a1c2b.js" -> "app.*.js". Looks at
// the one segment only, so that an id is known the first time one is seen; routes.h sees to ids that look like words.
//
// A segment is read as pieces (letters, digits, bytes above 0x7f) and what stands between them. "*" stands for
//   digits only, UUIDs, hexadecimal (6 or more, with 2 digits; or 8), a piece that begins with digits ("47Z"; not
//   "2fa"), letters and digits in turns ("dQw4w9WgXcQ"; not "v1beta1"), 8 letters without a vowel, capitals at random,
//   a number of 3 or more digits after letters ("user123" -> "user*"; "v1", "r12", "oauth2" are words);
// and neighbouring ones are one ("2026-11-21" -> "*"). A whole segment is "*" if it is longer than kMaxSegmentBytes, an
// e-mail address, or the title of something ("how-to-link-requests-without-any-headers").
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace spantap {

inline constexpr size_t kMaxSegmentBytes = 128;

// `segment` is percent-decoded. The result points to it, to `buffer`, or to a constant; never longer than `segment`
// unless that is empty.
absl::string_view SegmentTemplate(absl::string_view segment, char (&buffer)[kMaxSegmentBytes]);

}  // namespace spantap
