// SPDX-License-Identifier: Apache-2.0
//
// The texts of a SPANTAP_EVENT_PROCESS record, and which program they stand for. Any record is good: what is missing is
// empty. Pure; views into the record.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "bpf/events.h"

namespace spantap {

struct ProcessText {
  absl::string_view exe;
  absl::string_view service_name;
  absl::string_view resource_attributes;
};
ProcessText SplitText(const spantap_process_event& event, absl::string_view record);

// /proc says so about a replaced binary; the program is still the same one to people.
absl::string_view ExecutablePath(absl::string_view exe);

// A hash for what is remembered of a program (--link-memory), and what its processes learn from each other: of the
// executable's path, the port it listens on and the service name that somebody gave it. These stay when the agent or
// the process is restarted, and when the program is deployed anew. Not its command line, which holds secrets and
// changes with every deployment; not its container, which has a new name each time. Two programs that all of this does
// not tell apart share what is remembered of them, by routes: see CauseFinder::OnProgram().
uint64_t ProgramOf(const spantap_process_event& event, absl::string_view record);

}  // namespace spantap
