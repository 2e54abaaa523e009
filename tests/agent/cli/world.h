// SPDX-License-Identifier: Apache-2.0
//
// A parser's world from memory: variables and files as the test says, nothing of the process's own.
//
// Used by the tests of agent/cli. One thread.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/cli/parse.h"

namespace spantap::cli_test {

struct World {
  std::map<std::string, std::string> variables = {};
  std::map<std::string, std::string> files = {};

  Outside AsOutside() const {
    return {[this](const char* name) -> const char* {
              const auto it = variables.find(name);
              return it == variables.end() ? nullptr : it->second.c_str();
            },
            [this](const std::string& path) -> absl::StatusOr<std::string> {
              const auto it = files.find(path);
              if (it == files.end()) return absl::InvalidArgumentError("cannot be read: No such file or directory");
              return it->second;
            }};
  }

  absl::StatusOr<ParsedCommandLine> Parse(std::vector<const char*> words) const {
    words.insert(words.begin(), "spantap");
    return ParseCommandLine(static_cast<int>(words.size()), words.data(), AsOutside());
  }

  ParsedCommandLine Must(const std::vector<const char*>& words) const {
    auto parsed = Parse(words);
    INFO(parsed.status().ToString());
    REQUIRE(parsed.ok());
    return *std::move(parsed);
  }

  // The settings of a run that goes without a warning.
  Settings Settle(const std::vector<const char*>& words) const {
    ParsedCommandLine parsed = Must(words);
    INFO(absl::StrJoin(parsed.warnings, "\n"));
    REQUIRE_FALSE(parsed.print);
    REQUIRE(parsed.warnings.empty());
    return std::move(parsed.settings);
  }

  std::string ErrorOf(const std::vector<const char*>& words) const {
    const auto parsed = Parse(words);
    REQUIRE_FALSE(parsed.ok());
    REQUIRE(absl::IsInvalidArgument(parsed.status()));
    return std::string(parsed.status().message());
  }

  // What `spantap check` prints.
  std::string Check(std::vector<const char*> words = {}) const {
    words.insert(words.begin(), "check");
    return Must(words).print.value();
  }
};

// True if `text` has this part; says both if not.
inline bool Has(absl::string_view text, absl::string_view part) {
  if (text.find(part) != absl::string_view::npos) return true;
  UNSCOPED_INFO("'" << part << "' is missing in: " << text);
  return false;
}

}  // namespace spantap::cli_test
