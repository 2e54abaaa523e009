// SPDX-License-Identifier: Apache-2.0
//
// One run: makes the objects that the settings ask for, moves events from the source to the pipeline until a signal,
// the end of the file or the end of the targets, then stops capturing and drains.
//
//   Open() ─► Loop() ─► Close() ─► Balance()        a failed Open(): Balance() only; nothing was started
//
// Main thread, which is the event thread; the exporter and the listener have their own.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/capture/bpf_source.h"
#include "agent/capture/record_file.h"
#include "agent/cli/settings.h"
#include "agent/handoff/handoff.h"
#include "agent/run/link_memory.h"
#include "agent/run/pipeline.h"
#include "agent/run/recording.h"
#include "agent/serve/status_board.h"
#include "exporter/send/exporter.h"

namespace spantap {

// Reads the configuration again, for SIGHUP.
using ReloadFn = std::function<absl::StatusOr<Settings>()>;

class Session {
 public:
  // `board`: null if nobody looks. `handoff`: null without --socket. All outlive the session.
  Session(const Settings& settings, const ReloadFn& reload, StatusBoard* board, Handoff* handoff);
  ~Session();

  absl::Status Open();
  absl::Status Loop();
  // Stops capturing, takes what is left, drains the exporter. Reports the first thing that went wrong.
  absl::Status Close();
  std::string Balance() const;  // the ledger line
  // The settings of the run that is to follow, if any.
  const std::optional<Settings>& next() const { return next_; }

 private:
  absl::Status OpenReplay();
  absl::Status OpenCapture();
  void OpenPipeline();
  void OpenHandoff();
  void CloseHandoff();
  EventSink& Sink();
  absl::Status Turn();
  absl::Status TakeRest();
  bool Ended(uint64_t limit_ns);
  bool Reloaded();
  void SetPhase(Phase phase);
  void Publish(uint64_t now_ns);
  absl::Status CheckReplay() const;

  const Settings& settings_;
  const ReloadFn& reload_;
  StatusBoard* const board_;
  Handoff* const handoff_;
  std::optional<Settings> next_;
  Ledger ledger_;
  std::unique_ptr<IdGenerator> ids_;
  std::unique_ptr<Exporter> exporter_;
  std::unique_ptr<EventSource> source_;  // null: disabled, or not opened
  ReplaySource* replay_ = nullptr;       // source_, if it is a file
  std::unique_ptr<Recording> recording_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<LinkMemory> memory_;  // null: nothing is remembered
};

}  // namespace spantap
