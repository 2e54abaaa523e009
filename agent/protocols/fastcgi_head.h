// SPDX-License-Identifier: Apache-2.0
//
// What CGI says, as an HTTP head: parameters (RFC 3875 §4.1) become method, target and headers, the first
// lines of an answer (§6) status and headers. Parameters that are no part of the HTTP request (paths of
// scripts, whatever an administrator adds) are not kept: they may be secrets.
//
// Used by FastCgiParser. Pure; the input is bounded by kMaxHeadBytes, and so is the head.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"
#include "agent/protocols/http_head.h"

namespace spantap {

// From name-value pairs. `cut`: the end is missing, and what is incomplete there is left out. False if the
// pairs are none, or say too little: a method and a target are needed.
bool BuildCgiRequest(absl::string_view pairs, bool cut, HttpHead* head);

// From the header lines of an answer, without the empty line. Without a Status it is 200, or 302 with a
// Location, or 0 if `cut`.
HttpHead BuildCgiResponse(absl::string_view lines, bool cut);

// Where the head of an answer ends: the number of bytes up to and including the empty line, 0 if there is none yet.
// Bytes before `from` have been looked at.
size_t CgiHeadEnd(absl::string_view text, size_t from);

}  // namespace spantap
