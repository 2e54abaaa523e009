// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/start_line.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace spantap {
namespace {

constexpr absl::string_view kResponse = "HTTP/1.";
constexpr size_t kMaxMethodBytes = 32;
constexpr absl::string_view kMethods[] = {
    "GET",        "HEAD",        "POST",   "PUT",      "DELETE",     "CONNECT", "OPTIONS", "TRACE",  "PATCH",
    "PROPFIND",   "PROPPATCH",   "COPY",   "LOCK",     "UNLOCK",     "MKCOL",   "MOVE",    "SEARCH", "REPORT",
    "MKACTIVITY", "CHECKOUT",    "MERGE",  "M-SEARCH", "LINK",       "BIND",    "REBIND",  "UNBIND", "ACL",
    "SUBSCRIBE",  "UNSUBSCRIBE", "NOTIFY", "PURGE",    "MKCALENDAR", "UNLINK",  "SOURCE",  "QUERY",
};

bool IsMethodCharacter(char c) { return (c >= 'A' && c <= 'Z') || c == '-' || c == '_'; }

bool KnownMethod(absl::string_view method, bool whole) {
  return std::any_of(std::begin(kMethods), std::end(kMethods), [&](absl::string_view known) {
    return whole ? known == method : absl::StartsWith(known, method);
  });
}

bool IsRequestLine(absl::string_view line) {
  const size_t method = line.find(' ');
  if (method == 0 || method > kMaxMethodBytes || line.size() < method + 11) return false;
  const absl::string_view version = line.substr(line.size() - 9);
  return version[0] == ' ' && absl::StartsWith(version.substr(1), kResponse) &&
         absl::ascii_isdigit(static_cast<unsigned char>(version[8]));
}

absl::string_view SkipLineEnds(absl::string_view bytes) {
  while (!bytes.empty() && (bytes[0] == '\r' || bytes[0] == '\n')) bytes.remove_prefix(1);
  return bytes;
}

// As far as it goes. The rest of a request line that begins behind a gap ("HTTP/1.1\r\n") is none.
bool StartsStatusLine(absl::string_view bytes) {
  constexpr absl::string_view kPattern = "HTTP/1.# #";
  for (size_t i = 0; i < std::min(bytes.size(), kPattern.size()); ++i) {
    const bool fits =
        kPattern[i] == '#' ? absl::ascii_isdigit(static_cast<unsigned char>(bytes[i])) : bytes[i] == kPattern[i];
    if (!fits) return false;
  }
  return true;
}

// The beginning of a line: may it be one of a start line?
bool PlausibleStart(absl::string_view line, bool any_method) {
  if (StartsStatusLine(line)) return true;
  size_t i = 0;
  while (i < line.size() && IsMethodCharacter(line[i])) ++i;
  const absl::string_view method = line.substr(0, i);
  if (i > kMaxMethodBytes) return false;
  if (i == line.size()) return any_method || KnownMethod(method, false);
  if (i == 0 || line[i] != ' ' || (!any_method && !KnownMethod(method, true))) return false;
  if (i + 1 == line.size() || method == "CONNECT") return true;
  const char target = line[i + 1];
  return target == '/' || target == '*' || target == 'h' || target == 'H';
}

}  // namespace

bool EndsInVersion(uint64_t tail) {
  uint64_t version = 0;
  for (char c : kResponse) version = version << 8 | static_cast<unsigned char>(c);
  const uint64_t digit = tail & 0xff;
  return tail >> 8 == version && digit >= '0' && digit <= '9';
}

bool LooksLikeHead(absl::string_view bytes, bool any_method) {
  bytes = SkipLineEnds(bytes);
  if (bytes.empty()) return true;
  const size_t end = bytes.find('\n');
  if (end == absl::string_view::npos) return PlausibleStart(bytes, any_method);
  const absl::string_view line = bytes.substr(0, end);
  return StartsStatusLine(line) || IsRequestLine(absl::StripTrailingAsciiWhitespace(line));
}

bool MayBeginResponse(absl::string_view bytes) { return StartsStatusLine(SkipLineEnds(bytes)); }

bool MayBeginRequest(absl::string_view bytes) {
  bytes = SkipLineEnds(bytes);
  return bytes.size() < 2 || !StartsStatusLine(bytes);
}

}  // namespace spantap
