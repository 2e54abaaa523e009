// SPDX-License-Identifier: Apache-2.0
//
// Where words come from, before they mean anything: values as they were given, and the two questions that the
// parser asks of the world. Tests and the fuzzer answer them from memory.
//
// Values; any thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace spantap {

struct RawValue {
  std::string where;  // "--pid", "SPANTAP_PID", "spantap.yaml:3"
  std::string value;
};
using RawValues = std::map<std::string, std::vector<RawValue>>;  // by option name

// Of a configuration or PEM file.
inline constexpr size_t kMaxFileBytes = 1 << 20;

struct Outside {
  std::function<const char*(const char* name)> variable;  // nullptr: not set
  // A regular file of at most kMaxFileBytes; the error says what is wrong and does not name the path.
  std::function<absl::StatusOr<std::string>(const std::string& path)> file;
};

// As Outside::file, from the disk. Never waits, whatever the path is.
absl::StatusOr<std::string> ReadRegularFile(const std::string& path);

}  // namespace spantap
