// SPDX-License-Identifier: Apache-2.0
//
// What a few first bytes look like: an HTTP/1 request, an HTTP/1 response, or something that we know
// and leave alone (TLS, HTTP/2). Used by the registry, and by the HTTP/1 parser to find the next
// message after a loss. Pure functions, no memory, any thread.
#pragma once

#include "absl/strings/string_view.h"
#include "agent/protocols/parser.h"

namespace spantap {

// Longest method that is believed; registered ones have at most 17 characters.
inline constexpr size_t kMaxMethodBytes = 32;

// RFC 9110 §5.6.2.
bool IsTokenChar(char c);

// The first bytes of a stream: any token may be a method.
Verdict InferHttp1(absl::string_view bytes);
// The first bytes of a call somewhere in a stream, which may as well be body bytes, or the rest of a
// head whose beginning was missed ("ET / HTTP/1.1"): wants more evidence, and never kNeedMore.
Verdict InferResumedHttp1(absl::string_view bytes);

// A registered method.
bool IsKnownMethod(absl::string_view method);

bool LooksLikeTls(absl::string_view bytes);
// The client's connection preface of HTTP/2, or a server's first SETTINGS frame.
bool LooksLikeHttp2(absl::string_view bytes);

}  // namespace spantap
