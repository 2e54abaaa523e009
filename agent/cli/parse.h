// SPDX-License-Identifier: Apache-2.0
//
// Raw words -> Settings. Precedence, per option: command line, SPANTAP_* variable, OTEL_* variable,
// configuration file, default. A list replaces a list, it is not added to it.
//
// An InvalidArgument error carries a complete message: where (flag, variable or FILE:LINE), what is
// wrong, the accepted form. The only place that reads the environment (`make lint` checks).
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "agent/cli/settings.h"

namespace spantap {

struct ParsedCommandLine {
  std::optional<std::string> print;  // --help or --version: print this and exit 0
  Settings settings;
};

absl::StatusOr<ParsedCommandLine> ParseCommandLine(int argc, const char* const* argv);

// One option's raw values and where they came from; configuration_file.cc makes these too.
struct RawValue {
  std::string where;  // "--pid", "SPANTAP_PID", "spantap.yaml:3"
  std::string value;
};

}  // namespace spantap
