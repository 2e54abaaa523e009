// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/standard_variables.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/cli/forms.h"
#include "exporter/model/resource_attributes.h"
#include "exporter/transport/header_list.h"

namespace spantap::standard {
namespace {

using forms::Bad;

// Values of "no limit" become the longest that can be had.
Words TimeoutUpTo(absl::string_view text, absl::Duration longest) {
  const int64_t longest_ms = absl::ToInt64Milliseconds(longest);
  const auto ms = forms::ParseCount(text, 0, static_cast<uint64_t>(longest_ms));
  if (!ms.ok()) return ms.status();
  return std::vector<std::string>{absl::StrCat(*ms == 0 ? static_cast<uint64_t>(longest_ms) : *ms)};
}

}  // namespace

std::vector<StandardVariable> Of(const VariableNames& names, Words (*words)(absl::string_view text),
                                 const char* accepted) {
  std::vector<StandardVariable> rows = {{names.name, words, accepted}};
  if (names.general != nullptr) rows.push_back({names.general, words, accepted});
  return rows;
}

Words Plain(absl::string_view text) { return std::vector<std::string>{std::string(text)}; }

Words Name(absl::string_view text) { return std::vector<std::string>{absl::AsciiStrToLower(text)}; }

Words Boolean(absl::string_view text) {
  if (absl::EqualsIgnoreCase(text, "true")) return Plain("on");
  if (absl::EqualsIgnoreCase(text, "false")) return Plain("off");
  return Bad("is neither true nor false");
}

Words Milliseconds(absl::string_view text) {
  const auto ms = forms::ParseCount(text, 0, UINT64_MAX);
  if (!ms.ok()) return ms.status();
  return std::vector<std::string>{absl::StrCat(*ms)};
}

Words Timeout(absl::string_view text) { return TimeoutUpTo(text, kLongestTimeout); }
Words BatchTimeout(absl::string_view text) { return TimeoutUpTo(text, kLongestGiveUp); }

Words Ratio(absl::string_view text) {
  double ratio = 0;
  if (!absl::SimpleAtod(text, &ratio)) return Bad("is not a number");
  if (!(ratio >= 0 && ratio <= 1)) return Bad("is not between 0 and 1");
  return std::vector<std::string>{absl::StrFormat("%.15g", ratio * 100)};
}

Words SignalEndpoint(absl::string_view text) { return std::vector<std::string>{absl::StrCat(kExactPath, text)}; }

Words Headers(absl::string_view text) {
  const auto headers = ParseHeaderList(text);
  if (!headers.ok()) return headers.status();
  std::vector<std::string> words;
  for (const auto& [name, value] : *headers) words.push_back(absl::StrCat(name, "=", value));
  return words;
}

Words Resource(absl::string_view text) {
  const std::optional<ResourceAttributes> attributes = ParseResourceAttributes(text);
  if (!attributes) return Bad("is not a list of KEY=VALUE");
  std::vector<std::string> words;
  for (const auto& [key, value] : *attributes) {
    if (key.find('=') != std::string::npos) return Bad("has a '=' in a key");
    words.push_back(absl::StrCat(key, "=", value));
  }
  return words;
}

}  // namespace spantap::standard
