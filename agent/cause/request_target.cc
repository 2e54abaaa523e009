// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/request_target.h"

#include <algorithm>

namespace spantap {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

RequestTarget SplitTarget(absl::string_view target) {
  target = target.substr(0, target.find('#'));
  RequestTarget parts;
  parts.path = TakePart(target, '?');
  parts.query = target;
  if (!parts.path.empty() && parts.path[0] != '/') {
    const size_t scheme = parts.path.find("://");
    if (scheme != absl::string_view::npos) {
      const size_t path = parts.path.find('/', scheme + 3);
      parts.path = path == absl::string_view::npos ? absl::string_view() : parts.path.substr(path);
    }
  }
  return parts;
}

absl::string_view TakePart(absl::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const absl::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == absl::string_view::npos ? rest.size() : end + 1);
  return part;
}

absl::string_view Unescape(absl::string_view text, std::span<char> buffer) {
  const bool plain = std::none_of(text.begin(), text.end(), [](char c) { return c == '%' || c == '+'; });
  if (plain) return text.substr(0, buffer.size());
  size_t out = 0;
  for (size_t in = 0; in < text.size() && out < buffer.size(); ++in) {
    char c = text[in];
    if (c == '%' && text.size() - in > 2) {
      const int high = HexDigit(text[in + 1]);
      const int low = HexDigit(text[in + 2]);
      if (high >= 0 && low >= 0) {
        c = static_cast<char>(high << 4 | low);
        in += 2;
      }
    }
    buffer[out++] = c == '+' ? ' ' : c;
  }
  return {buffer.data(), out};
}

}  // namespace spantap
