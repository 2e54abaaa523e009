// SPDX-License-Identifier: Apache-2.0
//
// What `trace` and `replay` print and how: colours and width of a terminal, or JSON. Main thread.
#pragma once

#include "agent/cli/settings.h"
#include "agent/view/trace_view.h"

namespace spantap {

// Whether trees are printed: always by `trace`; by `replay` unless it exports, or if JSON is asked for.
bool WantsView(const Settings& settings);
ViewSettings ViewFor(const Settings& settings);

}  // namespace spantap
