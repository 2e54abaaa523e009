// SPDX-License-Identifier: Apache-2.0
//
// The YAML configuration file: a mapping whose keys are the options' names and whose values are
// scalars, or lists for repeatable options.
//
// Reads at most kMaxConfigBytes. Every error names FILE:LINE and the accepted form.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/cli/parse.h"

namespace spantap {

inline constexpr size_t kMaxConfigBytes = 1 << 20;

absl::StatusOr<std::map<std::string, std::vector<RawValue>>> ReadConfigFile(const std::string& path);

}  // namespace spantap
