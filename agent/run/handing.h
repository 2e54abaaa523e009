// SPDX-License-Identifier: Apache-2.0
//
// The hand-off across runs: kept as it is at a reload that does not concern it, made anew otherwise.
// Used by run.cc and session.cc. Main thread.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "agent/cli/settings.h"
#include "agent/handoff/handoff.h"

namespace spantap {

// What the settings ask for: without sockets if the run is disabled.
HandoffSettings HandoffOf(const Settings& settings);

class Handing {
 public:
  // Whether Switch() could do it, before the present run is ended for it.
  absl::Status Check(const Settings& settings) const;
  // Between two runs. The present hand-off ends first if it is not the one that is wanted.
  absl::Status Switch(const Settings& settings);
  Handoff* handoff() { return handoff_.get(); }  // null: none is asked for

 private:
  std::unique_ptr<Handoff> handoff_;
};

}  // namespace spantap
