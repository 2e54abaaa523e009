// SPDX-License-Identifier: Apache-2.0
//
// The texts of --help and --version, made from the table of options. Pure; any thread.
#pragma once

#include <string>

#include "absl/types/span.h"

namespace spantap {

struct CommandInfo {
  const char* name;
  unsigned bit;            // of enum Command
  const char* purpose;     // one sentence
  const char* positional;  // "FILE", "[FILE]" (another name of --config) or ""
};
absl::Span<const CommandInfo> Commands();

std::string GeneralHelp();
std::string CommandHelp(const CommandInfo& command);
std::string VersionText();

}  // namespace spantap
