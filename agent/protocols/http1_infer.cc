// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http1_infer.h"

#include <algorithm>
#include <array>

#include "absl/strings/match.h"

namespace spantap {
namespace {

constexpr std::array<bool, 256> MakeTokenTable() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}
constexpr std::array<bool, 256> kToken = MakeTokenTable();

// The registered methods (IANA), PURGE and QUERY.
constexpr absl::string_view kMethods[] = {"GET",
                                          "POST",
                                          "HEAD",
                                          "PUT",
                                          "DELETE",
                                          "OPTIONS",
                                          "PATCH",
                                          "CONNECT",
                                          "TRACE",
                                          "PURGE",
                                          "QUERY",
                                          "PROPFIND",
                                          "PROPPATCH",
                                          "REPORT",
                                          "SEARCH",
                                          "LOCK",
                                          "UNLOCK",
                                          "MKCOL",
                                          "COPY",
                                          "MOVE",
                                          "ACL",
                                          "BIND",
                                          "UNBIND",
                                          "REBIND",
                                          "LINK",
                                          "UNLINK",
                                          "CHECKIN",
                                          "CHECKOUT",
                                          "UNCHECKOUT",
                                          "MERGE",
                                          "UPDATE",
                                          "LABEL",
                                          "MKACTIVITY",
                                          "MKCALENDAR",
                                          "MKWORKSPACE",
                                          "ORDERPATCH",
                                          "MKREDIRECTREF",
                                          "UPDATEREDIRECTREF",
                                          "VERSION-CONTROL",
                                          "BASELINE-CONTROL"};

// A word of the shape "token space target": only '/' '*' and a scheme open the target of a method
// that we do not know, so that greetings of other text protocols ("EHLO host") are not taken for one.
Verdict InferRequest(absl::string_view bytes) {
  size_t space = 0;
  while (space < bytes.size() && IsTokenChar(bytes[space])) {
    if (++space > kMaxMethodBytes) return Verdict::kNo;
  }
  if (space == bytes.size()) return Verdict::kNeedMore;
  if (space == 0 || bytes[space] != ' ') return Verdict::kNo;
  const absl::string_view method = bytes.substr(0, space);
  const absl::string_view target = bytes.substr(space + 1);
  if (target.empty()) return Verdict::kNeedMore;
  if (target[0] == '/' || target[0] == '*') return method == "PRI" ? Verdict::kNo : Verdict::kRequest;
  if (method == "CONNECT") return target[0] > ' ' ? Verdict::kRequest : Verdict::kNo;
  const absl::string_view scheme = target.substr(0, 7);
  if (absl::EqualsIgnoreCase(scheme, "http://") || absl::EqualsIgnoreCase(scheme, "https:/")) return Verdict::kRequest;
  const bool known = IsKnownMethod(method);
  const bool prefix = absl::StartsWithIgnoreCase("http://", scheme) || absl::StartsWithIgnoreCase("https:/", scheme);
  return prefix ? Verdict::kNeedMore : known && target[0] > ' ' ? Verdict::kRequest : Verdict::kNo;
}

}  // namespace

bool IsKnownMethod(absl::string_view method) {
  return std::find(std::begin(kMethods), std::end(kMethods), method) != std::end(kMethods);
}

bool IsTokenChar(char c) { return kToken[static_cast<unsigned char>(c)]; }

Verdict InferHttp1(absl::string_view bytes) {
  constexpr absl::string_view kVersion = "HTTP/1.";
  while (!bytes.empty() && (bytes[0] == '\r' || bytes[0] == '\n')) bytes.remove_prefix(1);
  const size_t common = std::min(bytes.size(), kVersion.size());
  if (bytes.substr(0, common) == kVersion.substr(0, common)) {
    if (bytes.size() <= kVersion.size()) return Verdict::kNeedMore;
    return bytes[kVersion.size()] == '0' || bytes[kVersion.size()] == '1' ? Verdict::kResponse : Verdict::kNo;
  }
  return InferRequest(bytes);
}

Verdict InferResumedHttp1(absl::string_view bytes) {
  const Verdict verdict = InferHttp1(bytes);
  if (verdict == Verdict::kResponse) {
    const auto digit = [&](size_t at) { return at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9'; };
    return bytes[0] == 'H' && digit(9) && digit(10) && digit(11) ? verdict : Verdict::kNo;
  }
  if (verdict != Verdict::kRequest) return Verdict::kNo;
  const absl::string_view method = bytes.substr(0, bytes.find(' '));
  if (IsKnownMethod(method)) return verdict;
  for (const absl::string_view known : kMethods) {
    if (absl::EndsWith(known, method)) return Verdict::kNo;
  }
  const absl::string_view line = bytes.substr(0, bytes.find('\n'));
  return line.size() < bytes.size() && absl::StrContains(line, " HTTP/1.") ? verdict : Verdict::kNo;
}

bool LooksLikeTls(absl::string_view bytes) {
  if (bytes.size() < 3) return false;
  const auto type = static_cast<unsigned char>(bytes[0]);
  return type >= 20 && type <= 24 && bytes[1] == 3 && static_cast<unsigned char>(bytes[2]) <= 4;
}

bool LooksLikeHttp2(absl::string_view bytes) {
  if (absl::StartsWith(bytes, "PRI * HTTP/2.0")) return true;
  // Frame header: 24-bit length (a multiple of 6, small), type 4 = SETTINGS, flags 0, stream 0.
  if (bytes.size() < 9) return false;
  return bytes[0] == 0 && bytes[1] == 0 && static_cast<unsigned char>(bytes[2]) % 6 == 0 && bytes[3] == 4 &&
         bytes.substr(4, 5) == absl::string_view("\0\0\0\0\0", 5);
}

}  // namespace spantap
