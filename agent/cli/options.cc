// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/options.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/cli/option_tables.h"

namespace spantap {
namespace {

constexpr absl::string_view kHidden = "(hidden)";

// The name only if it may be one: what stands there by mistake may be the secret itself.
std::string HideHeader(absl::string_view word) {
  constexpr absl::string_view kMarks = "!#$%&'*+-.^_`|~";
  const size_t equals = word.find('=');
  if (equals == absl::string_view::npos || equals == 0) return std::string(kHidden);
  for (const char c : word.substr(0, equals)) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && kMarks.find(c) == absl::string_view::npos) {
      return std::string(kHidden);
    }
  }
  return absl::StrCat(word.substr(0, equals), "=", kHidden);
}

// Whatever may be user, password or a token: all up to the last '@', all from the first '?' or '#'. A password may
// itself contain these, so that neither is looked for in a part of the word only.
std::string HideInUrl(absl::string_view word) {
  std::string shown;
  const size_t scheme = word.find("://");
  const size_t at = word.rfind('@');
  if (at != absl::string_view::npos) {
    if (scheme != absl::string_view::npos && scheme < at) absl::StrAppend(&shown, word.substr(0, scheme + 3));
    absl::StrAppend(&shown, kHidden, "@");
    word.remove_prefix(at + 1);
  }
  const size_t query = word.find_first_of("?#");
  absl::StrAppend(&shown, word.substr(0, query));
  if (query != absl::string_view::npos) absl::StrAppend(&shown, word.substr(query, 1), kHidden);
  return shown;
}

const std::vector<Option>& Table() {
  static const auto& table = *new std::vector<Option>([] {
    std::vector<Option> all;
    for (auto* topic : {CaptureOptions, ExportOptions, DeliveryOptions, SpanOptions, RunOptions}) {
      for (Option& option : topic()) all.push_back(std::move(option));
    }
    return all;
  }());
  return table;
}

}  // namespace

absl::Span<const Option> Options() { return Table(); }

const Option* FindOption(absl::string_view name) {
  for (const Option& option : Table()) {
    if (name == option.name) return &option;
  }
  return nullptr;
}

std::string ForPeople(const Option& option, absl::string_view word) {
  switch (option.secret) {
    case Secret::kNo:
      return absl::CHexEscape(word);
    case Secret::kHeader:
      return absl::CHexEscape(HideHeader(word));
    case Secret::kUrl:
      return absl::CHexEscape(HideInUrl(word));
  }
  return "";
}

}  // namespace spantap
