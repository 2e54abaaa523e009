// SPDX-License-Identifier: Apache-2.0
//
// The finished settings of one run: validated values only, made by ParseCommandLine() (parse.h), used
// once by the run and not kept. Values; any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/capture/bpf_source.h"
#include "agent/capture/targets.h"
#include "agent/link/linker.h"
#include "agent/spans/span_builder.h"

namespace spantap {

// Bits, so that an option can say which commands take it.
enum class Command : unsigned { kAgent = 1, kTrace = 2, kRecord = 4, kReplay = 8 };

struct Settings {
  Command command = Command::kAgent;

  // The way in.
  TargetSpec targets;
  BpfSettings capture;
  std::string file;           // record, replay
  bool with_secrets = false;  // record
  LinkSettings links;
  SpanStyle style;

  // The way out.
  std::vector<std::string> endpoints;  // empty: nothing is exported
  std::vector<std::pair<std::string, std::string>> headers;
  absl::Duration timeout = absl::Seconds(10);

  // The run.
  bool json = false;
  absl::Duration duration = absl::InfiniteDuration();
  std::string log_level = "info";
};

}  // namespace spantap
