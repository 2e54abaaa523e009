// SPDX-License-Identifier: Apache-2.0
//
// spantap: parse, run, exit code.
#include <cstdio>

#include "agent/cli/parse.h"
#include "agent/run/log.h"
#include "agent/run/run.h"

int main(int argc, char** argv) {
  const absl::StatusOr<spantap::ParsedCommandLine> parsed = spantap::ParseCommandLine(argc, argv);
  if (!parsed.ok()) {
    std::fprintf(stderr, "spantap: %s\n", std::string(parsed.status().message()).c_str());
    return 2;
  }
  if (parsed->print) return std::fputs(parsed->print->c_str(), stdout) >= 0 ? 0 : 1;
  spantap::SetUpLog(parsed->settings.log_level);
  for (const std::string& warning : parsed->warnings) spantap::Log(spantap::LogLevel::kWarn, warning);
  return spantap::Run(parsed->settings, [argc, argv]() -> absl::StatusOr<spantap::Settings> {
    absl::StatusOr<spantap::ParsedCommandLine> again = spantap::ParseCommandLine(argc, argv);
    if (!again.ok()) return again.status();
    for (const std::string& warning : again->warnings) spantap::Log(spantap::LogLevel::kWarn, warning);
    return again->settings;
  });
}
