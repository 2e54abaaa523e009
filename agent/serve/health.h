// SPDX-License-Identifier: Apache-2.0
//
// The two questions that an orchestrator asks, answered in words: /healthz (is the agent alive?) and /readyz (do spans
// of this node reach a collector?). Pure; any thread.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "agent/serve/status.h"

namespace spantap {

struct HealthAnswer {
  bool good = false;
  std::string reason;  // one line, no secrets
};

// A turn takes at most some hundred milliseconds; draining at the end of a run takes at most 5 s by default.
inline constexpr absl::Duration kTurnLimit = absl::Seconds(15);

// Good while the event thread has turned within kTurnLimit.
HealthAnswer Health(absl::Duration turn_age);
// Good while capture is attached and an endpoint is up or untried. An agent that was told to do nothing is ready.
HealthAnswer Readiness(const RunStatus& status);

}  // namespace spantap
