// SPDX-License-Identifier: Apache-2.0
//
// The last step: what the options stored, put together as Settings. Used by parse.cc.
//
// Pure; any thread.
#pragma once

#include "absl/status/statusor.h"
#include "agent/cli/draft.h"

namespace spantap {

// Not OK only for a draft that was not checked (FindContradiction).
absl::StatusOr<Settings> Finish(const Draft& draft);

}  // namespace spantap
