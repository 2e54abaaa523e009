// SPDX-License-Identifier: Apache-2.0
//
// Raw words -> Settings: the command line is split by CLI11, the file read, and resolve.h decides which value counts.
//
// An InvalidArgument error carries a complete message: where (flag, variable or FILE:LINE), what is wrong, the
// accepted form. parse.cc is the only place that reads the environment (`make lint` checks).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/cli/settings.h"
#include "agent/cli/sources.h"

namespace spantap {

struct ParsedCommandLine {
  std::optional<std::string> print;  // --help, --version, check: print this and exit 0
  Settings settings = {};
  std::vector<std::string> warnings = {};  // what was ignored (bad OTEL_* variables): for the log, one line each
};

absl::StatusOr<ParsedCommandLine> ParseCommandLine(int argc, const char* const* argv);
// With another environment and other files.
absl::StatusOr<ParsedCommandLine> ParseCommandLine(int argc, const char* const* argv, const Outside& outside);

}  // namespace spantap
