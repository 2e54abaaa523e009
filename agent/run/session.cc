// SPDX-License-Identifier: Apache-2.0
#include "agent/run/session.h"

#include <poll.h>

#include <cstring>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/run/event_status.h"
#include "agent/run/exporting.h"
#include "agent/run/handing.h"
#include "agent/run/log.h"
#include "agent/run/memory_file.h"
#include "agent/run/stop_signal.h"
#include "agent/run/viewing.h"
#include "agent/serve/ledger_line.h"
#include "base/clock.h"
#include "base/status_macros.h"

namespace spantap {
namespace {

constexpr int kPollMs = 100;
constexpr double kSlowDiskBytesPerS = 10e6;
// Replays must give the same ids, and the same links, each time.
constexpr uint64_t kReplaySeed = 1;

uint64_t RandomKey() {
  const SpanId random = RandomIds().NewSpanId();
  uint64_t key = 0;
  static_assert(sizeof(key) == sizeof(random.bytes));
  std::memcpy(&key, random.bytes.data(), sizeof(key));
  return key;
}

uint64_t Ns(absl::Duration duration) { return static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration)); }

}  // namespace

Session::Session(const Settings& settings, const ReloadFn& reload, StatusBoard* board, Handoff* handoff)
    : settings_(settings), reload_(reload), board_(board), handoff_(handoff) {
  if (board_ != nullptr) board_->Begin(ledger_);
}

Session::~Session() {
  SetStopTarget(nullptr);
  if (board_ != nullptr) board_->End();
}

absl::Status Session::Open() {
  if (settings_.disabled && settings_.command == Command::kAgent) {
    Log(LogLevel::kWarn, "disabled (OTEL_SDK_DISABLED): nothing is captured or exported");
    SetPhase(Phase::kDisabled);
    return absl::OkStatus();
  }
  // Before anything is attached.
  if (!settings_.link_memory.empty()) SPANTAP_RETURN_IF_ERROR(CheckMemoryPath(settings_.link_memory));
  if (board_ != nullptr && settings_.exporter.spool) {
    // All of the spool is read once; /healthz must not have the agent killed for it, again at each start.
    const double scan_s = static_cast<double>(settings_.exporter.spool->max_bytes) / kSlowDiskBytesPerS;
    board_->Turn(MonoNs() + Ns(absl::Seconds(scan_s)));
  }
  SPANTAP_ASSIGN_OR_RETURN(exporter_, MakeExporterFor(settings_, ledger_));
  if (board_ != nullptr) board_->Turn(MonoNs());
  if (board_ != nullptr) board_->SetExporter(exporter_.get());
  if (settings_.command == Command::kRecord) {  // before anything is attached
    SPANTAP_ASSIGN_OR_RETURN(auto writer, RecordWriter::Create(settings_.file, settings_.with_secrets));
    recording_ = std::make_unique<Recording>(std::move(writer));
  }
  SPANTAP_RETURN_IF_ERROR(settings_.command == Command::kReplay ? OpenReplay() : OpenCapture());
  if (recording_ == nullptr && source_ != nullptr) OpenPipeline();
  if (!settings_.link_memory.empty() && pipeline_ != nullptr) {
    memory_ = std::make_unique<LinkMemory>(settings_.link_memory, pipeline_->causes(), MonoNs());
  }
  if (exporter_ != nullptr) StartExporter(*exporter_);
  OpenHandoff();
  SetPhase(Phase::kCapturing);
  return absl::OkStatus();
}

absl::Status Session::Loop() {
  const bool limited = settings_.duration != absl::InfiniteDuration();
  const uint64_t limit_ns = limited && replay_ == nullptr ? MonoNs() + Ns(settings_.duration) : UINT64_MAX;
  while (!Ended(limit_ns)) SPANTAP_RETURN_IF_ERROR(Turn());
  return absl::OkStatus();
}

bool Session::Ended(uint64_t limit_ns) {
  // Others may still hand over spans when the last target has ended.
  const bool finished = source_ != nullptr && source_->Finished() && handoff_ == nullptr;
  if (StopRequested() || Reloaded() || finished) return true;
  const uint64_t now_ns = MonoNs();
  if (board_ != nullptr) {
    board_->Turn(now_ns);
    if (board_->Due(now_ns)) Publish(now_ns);
  }
  return now_ns >= limit_ns;
}

absl::Status Session::Turn() {
  if (source_ == nullptr) {
    poll(nullptr, 0, kPollMs);
    return absl::OkStatus();
  }
  SPANTAP_RETURN_IF_ERROR(source_->Poll(Sink(), kPollMs).status());
  if (recording_ != nullptr) SPANTAP_RETURN_IF_ERROR(recording_->writer().status());
  if (memory_ != nullptr) memory_->OnTurn(MonoNs(), pipeline_->causes());
  if (std::cout.fail()) return absl::UnavailableError("stdout was closed; ending");
  return absl::OkStatus();
}

absl::Status Session::Close() {
  SetPhase(Phase::kStopping);
  absl::Status status = TakeRest();
  CloseHandoff();
  if (pipeline_ != nullptr) pipeline_->Finish();
  if (memory_ != nullptr) memory_->Close(pipeline_->causes());
  std::cout.flush();
  if (board_ != nullptr) {
    Publish(MonoNs());
    board_->Turn(MonoNs() + Ns(settings_.exporter.drain));  // a wait that is meant is no reason for alarm
  }
  if (exporter_ != nullptr) exporter_->Stop();
  if (recording_ != nullptr) status.Update(recording_->writer().Close());
  if (replay_ != nullptr) status.Update(CheckReplay());
  return status;
}

absl::Status Session::TakeRest() {
  if (source_ == nullptr) return absl::OkStatus();
  source_->StopCapture();
  for (;;) {
    const absl::StatusOr<int> taken = source_->Poll(Sink(), 0);
    if (!taken.ok()) return taken.status();
    if (*taken == 0 || (replay_ != nullptr && StopRequested())) return absl::OkStatus();
  }
}

std::string Session::Balance() const {
  RunStatus status;
  status.spans = ledger_.Snapshot();
  status.events = CollectEvents(source_.get(), pipeline_.get(), recording_.get(), handoff_, memory_.get());
  return LedgerLine(status);
}

EventSink& Session::Sink() { return recording_ != nullptr ? static_cast<EventSink&>(*recording_) : *pipeline_; }

// True if this run is to end for another one.
bool Session::Reloaded() {
  if (!TakeReloadRequest()) return false;
  if (settings_.command != Command::kAgent) return true;
  absl::StatusOr<Settings> settings = reload_();
  if (settings.ok()) {
    next_ = *std::move(settings);
    return true;
  }
  Log(LogLevel::kError,
      absl::StrCat("not reloaded, the old settings stay: ", std::string(settings.status().message())));
  return false;
}

absl::Status Session::OpenReplay() {
  SPANTAP_ASSIGN_OR_RETURN(auto replay, ReplaySource::Open(settings_.file));
  replay_ = replay.get();
  source_ = std::move(replay);
  return absl::OkStatus();
}

absl::Status Session::OpenCapture() {
  if (settings_.targets.empty() && handoff_ != nullptr) return absl::OkStatus();
  SPANTAP_ASSIGN_OR_RETURN(auto source, BpfSource::Open(settings_.capture, settings_.targets));
  if (settings_.capture.turns && !source->counts_turns()) {
    Log(LogLevel::kWarn, "this kernel does not let loop turns be counted: fewer links without headers");
  }
  source_ = std::move(source);
  return absl::OkStatus();
}

void Session::OpenPipeline() {
  if (replay_ != nullptr) {
    ids_ = std::make_unique<SeededIds>(kReplaySeed);
  } else {
    ids_ = std::make_unique<RandomIds>();
  }
  PipelineSettings pipeline;
  pipeline.links = settings_.links;
  pipeline.links.tokens.key = replay_ != nullptr ? kReplaySeed : RandomKey();
  pipeline.style = settings_.style;
  pipeline.resource_attributes = settings_.resource_attributes;
  pipeline_ = std::make_unique<Pipeline>(
      pipeline, *ids_, ledger_, exporter_ != nullptr ? &exporter_->queue() : nullptr,
      [this](uint64_t conn_id, const spantap_order& order) { source_->Order(conn_id, order); });
  pipeline_->SetTurns([this](uint32_t tgid, bool on) { source_->CountTurns(tgid, on); });
  if (!WantsView(settings_)) return;
  pipeline_->SetView(std::make_unique<TraceView>(ViewFor(settings_), std::cout,
                                                 [this](uint32_t tgid) { return pipeline_->ServiceName(tgid); }));
}

void Session::OpenHandoff() {
  if (handoff_ == nullptr) return;
  handoff_->Begin(ledger_, exporter_ != nullptr ? &exporter_->queue() : nullptr,
                  pipeline_ != nullptr ? &pipeline_->inbox() : nullptr);
}

// With another run to follow that has the same sockets, what comes meanwhile waits in the rings.
void Session::CloseHandoff() {
  if (handoff_ == nullptr) return;
  if (next_ && HandoffOf(*next_) == handoff_->settings()) {
    handoff_->Pause();
  } else {
    handoff_->Stop();
  }
}

void Session::SetPhase(Phase phase) {
  if (board_ != nullptr) board_->SetPhase(phase);
}

void Session::Publish(uint64_t now_ns) {
  board_->Publish(now_ns, CollectEvents(source_.get(), pipeline_.get(), recording_.get(), handoff_, memory_.get()));
}

absl::Status Session::CheckReplay() const {
  if (replay_->Truncated()) {
    return absl::DataLossError(
        absl::StrCat(settings_.file, ": the file is cut off; replayed up to its last whole record"));
  }
  return exporter_ != nullptr ? CheckDelivered(*exporter_, ledger_.Snapshot()) : absl::OkStatus();
}

}  // namespace spantap
