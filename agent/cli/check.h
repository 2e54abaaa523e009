// SPDX-License-Identifier: Apache-2.0
//
// What `spantap check` prints: each setting in force, as a word that would be accepted, and where it comes from.
// Secrets are "(hidden)". Used by parse.cc.
//
// Pure but for the transports, which are made (not connected) to find what only they can find.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "agent/cli/resolve.h"

namespace spantap {

// InvalidArgument: an endpoint cannot be used with these files and headers.
absl::StatusOr<std::string> CheckText(const Resolved& resolved, const Settings& settings);

}  // namespace spantap
