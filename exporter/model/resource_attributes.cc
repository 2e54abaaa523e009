// SPDX-License-Identifier: Apache-2.0
#include "exporter/model/resource_attributes.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace spantap {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = absl::ascii_tolower(static_cast<unsigned char>(c));
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool AddPair(absl::string_view element, ResourceAttributes* attributes) {
  const size_t equals = element.find('=');
  if (equals == absl::string_view::npos) return false;
  std::pair<std::string, std::string> pair;
  if (!PercentDecode(absl::StripAsciiWhitespace(element.substr(0, equals)), &pair.first) || pair.first.empty() ||
      !PercentDecode(absl::StripAsciiWhitespace(element.substr(equals + 1)), &pair.second)) {
    return false;
  }
  const auto same = std::find_if(attributes->begin(), attributes->end(),
                                 [&pair](const auto& other) { return other.first == pair.first; });
  if (same != attributes->end()) {
    same->second = std::move(pair.second);
    return true;
  }
  if (attributes->size() == kMaxResourceAttributes) return false;
  attributes->push_back(std::move(pair));
  return true;
}

}  // namespace

bool PercentDecode(absl::string_view text, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out->push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out->push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

std::optional<ResourceAttributes> ParseResourceAttributes(absl::string_view text) {
  ResourceAttributes attributes;
  while (true) {
    const size_t comma = text.find(',');
    const absl::string_view element = absl::StripAsciiWhitespace(text.substr(0, comma));
    if (!element.empty() && !AddPair(element, &attributes)) return std::nullopt;
    if (comma == absl::string_view::npos) return attributes;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace spantap
