// SPDX-License-Identifier: Apache-2.0
//
// The one table of options: it drives the command line, the SPANTAP_* variables, the configuration
// file and --help. To add an option: one row in options.cc, one field in settings.h.
//
// Constants and pure functions; any thread.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/cli/settings.h"

namespace spantap {

struct Option {
  const char* name;      // flag "--name", variable SPANTAP_NAME, file key `name`
  const char* value;     // placeholder of the value in --help; nullptr: a switch (on / off in the file)
  unsigned commands;     // bits of Command
  bool repeatable;       // a list in the file, comma-separated in the variable
  const char* standard;  // OTEL_* variables with the same meaning, most specific first, ',' between; or ""
  const char* help;      // one line, with unit and default
  const char* accepted;  // the accepted form, for messages
  // Checks and stores one value. The error says what is wrong; the caller adds where and `accepted`.
  absl::Status (*apply)(absl::string_view value, Settings& settings);
};

absl::Span<const Option> Options();
const Option* FindOption(absl::string_view name);

}  // namespace spantap
