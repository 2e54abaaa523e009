// SPDX-License-Identifier: Apache-2.0
//
// As much HTTP as an endpoint for scrapers needs: the request line of a GET or HEAD, and an answer after which the
// connection closes. Headers are bounded and otherwise not looked at, bodies are not read: what is not parsed cannot
// be parsed wrongly. Pure, total; any thread.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

struct HttpRequest {
  bool head = false;  // HEAD: the answer has no body
  std::string path;   // "/metrics": without query, and without the host of an absolute target
};

struct HttpResponse {
  int status = 200;
  const char* content_type = "text/plain; charset=utf-8";
  std::string body;
};

// `head`: a request up to and including the empty line. Returns 0 and fills `request`, or the status to answer with:
// 400 (no request line of HTTP/1.x), 405 (neither GET nor HEAD), 505 (another version).
int ParseRequest(absl::string_view head, HttpRequest& request);

// Status line, headers and, unless `head`, the body.
std::string FormatResponse(const HttpResponse& response, bool head);

// An answer that only says what its status means.
HttpResponse PlainResponse(int status);

}  // namespace spantap
