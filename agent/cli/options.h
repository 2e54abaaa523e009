// SPDX-License-Identifier: Apache-2.0
//
// The one table of options: it drives the command line, the variables, the configuration file, --help and
// `spantap check`. Its rows stand in options_*.cc, by topic. To add an option: one row, one field in settings.h.
//
// Constants and pure functions; any thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/cli/draft.h"

namespace spantap {

// How one option's words become a field and the field becomes words again. Made by the functions of forms.h in one
// piece, so that what is printed is what would be accepted.
struct Form {
  std::string accepted;  // the accepted form of one word, for messages
  // Checks and stores one word. The error says what is wrong; the caller adds where and `accepted`.
  std::function<absl::Status(absl::string_view word, Draft& draft)> apply;
  // The stored value as words that apply() takes; none: not set.
  std::function<std::vector<std::string>(const Draft& draft)> show;
};

// A variable of the OpenTelemetry specification: its text means these words of the option.
struct StandardVariable {
  using Words = absl::StatusOr<std::vector<std::string>>;
  const char* name;
  Words (*words)(absl::string_view text);  // standard_variables.h
  const char* accepted = nullptr;          // its own accepted form; nullptr: the option's
};

enum class Secret : uint8_t { kNo, kHeader, kUrl };

struct Option {
  const char* name;   // flag "--name", variable SPANTAP_NAME, file key `name`
  const char* value;  // placeholder of the value in --help; nullptr: a switch (on / off in the file)
  unsigned commands;  // bits of Command
  bool repeatable;    // a list in the file, comma-separated in the variable
  std::vector<StandardVariable> standard;  // with the same meaning, most specific first
  const char* help;                        // one line, with unit and default
  Form form;
  Secret secret = Secret::kNo;
};

absl::Span<const Option> Options();
const Option* FindOption(absl::string_view name);

// `word` without what must not be printed, escaped: for messages and `check`.
std::string ForPeople(const Option& option, absl::string_view word);

}  // namespace spantap
