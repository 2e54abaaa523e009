// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/check.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/cli/options.h"
#include "exporter/transport/settings.h"

namespace spantap {
namespace {

void AddSetting(const Option& option, const Resolved& resolved, std::string& text) {
  const Origin& origin = resolved.origins.find(option.name)->second;
  const std::vector<std::string> words = option.form.show(resolved.draft);
  if (words.empty()) absl::StrAppendFormat(&text, "%-30s %-40s %s\n", option.name, "(not set)", origin.OfWord(0));
  for (size_t i = 0; i < words.size(); ++i) {
    absl::StrAppendFormat(&text, "%-30s %-40s %s\n", option.name, ForPeople(option, words[i]), origin.OfWord(i));
  }
}

}  // namespace

absl::StatusOr<std::string> CheckText(const Resolved& resolved, const Settings& settings) {
  for (const TransportSettings& transport : settings.exporter.endpoints) {
    const auto made = MakeTransport(transport);
    if (!made.ok()) return made.status();
  }
  std::string text;
  for (const Option& option : Options()) {
    if (option.commands & static_cast<unsigned>(Command::kCheck)) AddSetting(option, resolved, text);
  }
  for (const std::string& warning : resolved.warnings) absl::StrAppend(&text, "warning: ", warning, "\n");
  return text;
}

}  // namespace spantap
