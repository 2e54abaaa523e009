// SPDX-License-Identifier: Apache-2.0
#include "exporter/model/url.h"

#include <algorithm>

namespace spantap {
namespace {

// Parameters whose values are credentials, from the semantic conventions, `url.query`.
constexpr absl::string_view kSecretParameters[] = {
    "X-Amz-Signature",  "X-Amz-Credential", "X-Amz-Security-Token", "AWSAccessKeyId", "Signature", "sig",
    "X-Goog-Signature",
};

bool IsSecretParameter(absl::string_view name) {
  return std::find(std::begin(kSecretParameters), std::end(kSecretParameters), name) != std::end(kSecretParameters);
}

bool IsSchemeCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

// The length of "scheme://" at the front, 0 if there is none.
size_t SchemePrefix(absl::string_view target) {
  size_t i = 0;
  while (i < target.size() && IsSchemeCharacter(target[i])) ++i;
  return i > 0 && target.substr(i, 3) == "://" ? i + 3 : 0;
}

// string_view::find_first_of builds a table of 256 entries per call, which is most of what a query costs.
size_t FindAny(absl::string_view text, absl::string_view characters, size_t from) {
  for (size_t i = from; i < text.size(); ++i) {
    for (char c : characters) {
      if (text[i] == c) return i;
    }
  }
  return absl::string_view::npos;
}

uint16_t ParsePort(absl::string_view digits) {
  if (digits.empty() || digits.size() > 5) return 0;
  uint32_t port = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return 0;
    port = port * 10 + static_cast<uint32_t>(c - '0');
  }
  return port <= 65535 ? static_cast<uint16_t>(port) : 0;
}

}  // namespace

Target SplitTarget(absl::string_view target, bool connect) {
  Target parts;
  if (connect) {
    parts.authority = target;
    return parts;
  }
  if (const size_t prefix = SchemePrefix(target); prefix > 0) {
    parts.scheme = target.substr(0, prefix - 3);
    target.remove_prefix(prefix);
    const size_t end = std::min(FindAny(target, "/?#", 0), target.size());
    parts.authority = target.substr(0, end);
    target.remove_prefix(end);
  }
  target = target.substr(0, target.find('#'));  // a fragment is never sent; if it is, it names nothing
  const size_t question = target.find('?');
  parts.path = target.substr(0, question);
  if (question != absl::string_view::npos) {
    parts.query = target.substr(question + 1);
    parts.has_query = true;
  }
  if (parts.path.empty()) parts.path = "/";
  return parts;
}

Authority SplitAuthority(absl::string_view authority) {
  Authority parts;
  const size_t at = authority.rfind('@');
  if (at != absl::string_view::npos) {
    parts.user_info = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  parts.host_port = authority;
  size_t colon = authority.rfind(':');
  if (!authority.empty() && authority[0] == '[') {
    const size_t close = authority.find(']');
    if (close == absl::string_view::npos) return parts;
    parts.host = authority.substr(1, close - 1);
    if (close + 1 < authority.size() && authority[close + 1] == ':')
      parts.port = ParsePort(authority.substr(close + 2));
    return parts;
  }
  if (colon != absl::string_view::npos && authority.find(':') != colon) colon = absl::string_view::npos;  // bare IPv6
  parts.host = authority.substr(0, colon);
  if (colon != absl::string_view::npos) parts.port = ParsePort(authority.substr(colon + 1));
  return parts;
}

void AppendQuery(absl::string_view query, QueryValues values, std::string* out) {
  const size_t start = out->size();
  while (true) {
    // A name starts behind '&' or ';', but a credential ends only at '&': whether ';' separates
    // depends on the application, and half a credential must not stay.
    const size_t name_end = FindAny(query, "=&;", 0);
    const absl::string_view name = query.substr(0, name_end);
    const bool has_value = name_end != absl::string_view::npos && query[name_end] == '=';
    const bool keep = values == QueryValues::kRedacted;
    const bool secret = has_value && IsSecretParameter(name);
    const size_t end = has_value ? FindAny(query, secret || !keep ? "&" : "&;", name_end) : name_end;
    if (has_value || keep) {
      if (!keep && out->size() > start) out->push_back('&');
      out->append(name.data(), name.size());
      if (has_value) out->push_back('=');
      if (secret && keep) out->append("REDACTED");
      if (has_value && !secret && keep) {
        const absl::string_view value = query.substr(name_end + 1, end - name_end - 1);
        out->append(value.data(), value.size());
      }
    }
    if (end == absl::string_view::npos) return;
    if (keep) out->push_back(query[end]);
    query.remove_prefix(end + 1);
  }
}

void AppendPathAndQuery(const Target& target, QueryValues values, std::string* out) {
  out->append(target.path.data(), target.path.size());
  if (!target.has_query) return;
  out->push_back('?');
  AppendQuery(target.query, values, out);
}

}  // namespace spantap
