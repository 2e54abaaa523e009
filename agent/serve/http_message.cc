// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/http_message.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace spantap {
namespace {

const char* Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Internal Server Error";
  }
}

bool IsVisible(char c) { return c > ' ' && c < 0x7f; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }

// "http://host/metrics?x" -> "/metrics"; empty if it is neither a path nor an absolute URL with one.
absl::string_view PathOf(absl::string_view target) {
  if (absl::ConsumePrefix(&target, "http://")) {
    const size_t end = target.find_first_of("/?#");
    const bool has_path = end != absl::string_view::npos && target[end] == '/';
    target = has_path ? target.substr(end) : "/";
  }
  if (!absl::StartsWith(target, "/")) return "";
  return target.substr(0, target.find_first_of("?#"));
}

}  // namespace

int ParseRequest(absl::string_view head, HttpRequest& request) {
  const absl::string_view line = head.substr(0, head.find("\r\n"));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == absl::string_view::npos || first == last) return 400;
  const absl::string_view method = line.substr(0, first);
  const absl::string_view target = line.substr(first + 1, last - first - 1);
  const absl::string_view version = line.substr(last + 1);
  if (method.empty() || !std::all_of(method.begin(), method.end(), IsUpper)) return 400;
  if (!std::all_of(target.begin(), target.end(), IsVisible)) return 400;
  if (!absl::StartsWith(version, "HTTP/")) return 400;
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return 505;
  request.head = method == "HEAD";
  if (!request.head && method != "GET") return 405;
  request.path = std::string(PathOf(target));
  return request.path.empty() ? 400 : 0;
}

std::string FormatResponse(const HttpResponse& response, bool head) {
  return absl::StrCat("HTTP/1.1 ", response.status, " ", Reason(response.status),
                      "\r\nContent-Type: ", response.content_type, "\r\nContent-Length: ", response.body.size(),
                      "\r\nConnection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
                      response.status == 405 ? "Allow: GET, HEAD\r\n" : "", "\r\n", head ? "" : response.body);
}

HttpResponse PlainResponse(int status) {
  HttpResponse response;
  response.status = status;
  response.body = absl::StrCat(Reason(status), "\n");
  return response;
}

}  // namespace spantap
