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
#include "agent/handoff/handoff_settings.h"
#include "agent/link/linker.h"
#include "agent/spans/span_builder.h"
#include "exporter/send/exporter.h"

namespace spantap {

// Bits, so that an option can say which commands take it.
enum class Command : unsigned { kAgent = 1, kTrace = 2, kRecord = 4, kReplay = 8, kCheck = 16 };

struct Settings {
  Command command = Command::kAgent;

  // The way in.
  TargetSpec targets;
  BpfSettings capture;
  std::string file;           // record, replay
  bool with_secrets = false;  // record
  LinkSettings links;
  std::string link_memory;  // agent, replay: file of what was learned about programs; empty: none
  SpanStyle style;
  HandoffSettings handoff;  // agent; no socket: none

  // The way out.
  ExporterSettings exporter;                                             // no endpoint: nothing is exported
  std::vector<std::pair<std::string, std::string>> resource_attributes;  // of every span's resource; what is found wins
  bool disabled = false;  // OTEL_SDK_DISABLED: nothing is captured or exported; agent waits for its end
  std::string listen;     // ADDRESS:PORT of /metrics, /healthz, /readyz, /ledger; empty: none

  // The run.
  bool json = false;
  absl::Duration duration = absl::InfiniteDuration();
  std::string log_level = "info";
};

}  // namespace spantap
