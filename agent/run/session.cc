// SPDX-License-Identifier: Apache-2.0
#include "agent/run/session.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "agent/capture/bpf_source.h"
#include "agent/capture/record_file.h"
#include "agent/run/ledger_line.h"
#include "agent/run/log.h"
#include "agent/run/pipeline.h"
#include "agent/run/stop_signal.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "exporter/send/export_loop.h"
#include "exporter/transport/otlp_http.h"

namespace spantap {
namespace {

constexpr int kPollMs = 100;
// Replays must give the same ids each time.
constexpr uint64_t kReplaySeed = 1;

// Wrong use or configuration: what the caller asked for does not exist or cannot be meant.
int ExitCodeOf(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ? 2 : 1;
}

ViewSettings ViewFor(const Settings& settings) {
  ViewSettings view;
  view.json = settings.json;
  view.style = settings.style;
  view.terminal = !settings.json && isatty(STDOUT_FILENO);
  winsize size = {};
  if (view.terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) view.columns = size.ws_col;
  return view;
}

// Passes events to the record file; counts those that the kernel captured (the file holds others too).
class CapturedSink final : public EventSink {
 public:
  explicit CapturedSink(std::unique_ptr<RecordWriter> writer) : writer_(std::move(writer)) {}
  void OnEvent(const EventView& event) override {
    writer_->OnEvent(event);
    if (event.header->type < SPANTAP_EVENT_PROCESS && writer_->status().ok()) ++captured_;
  }
  void OnTime(uint64_t mono_ns) override { writer_->OnTime(mono_ns); }
  RecordWriter& writer() { return *writer_; }
  uint64_t captured() const { return captured_; }

 private:
  std::unique_ptr<RecordWriter> writer_;
  uint64_t captured_ = 0;
};

class Session {
 public:
  Session(const Settings& settings, const ReloadFn& reload) : settings_(settings), reload_(reload) {}

  absl::Status Open() {
    if (!settings_.endpoints.empty()) SPANTAP_RETURN_IF_ERROR(OpenExporter());
    if (settings_.command == Command::kRecord) {  // before anything is attached
      SPANTAP_ASSIGN_OR_RETURN(auto writer, RecordWriter::Create(settings_.file, settings_.with_secrets));
      recording_ = std::make_unique<CapturedSink>(std::move(writer));
    }
    SPANTAP_RETURN_IF_ERROR(settings_.command == Command::kReplay ? OpenReplay() : OpenCapture());
    if (recording_ != nullptr) return absl::OkStatus();
    OpenPipeline();
    if (loop_ != nullptr) loop_->Start();
    return absl::OkStatus();
  }

  absl::Status Loop() {
    const uint64_t start = MonoNs();
    const uint64_t limit = settings_.duration == absl::InfiniteDuration()
                               ? UINT64_MAX
                               : start + static_cast<uint64_t>(absl::ToInt64Nanoseconds(settings_.duration));
    while (!StopRequested() && !Reloaded() && !source_->Finished() && (live_ == nullptr || MonoNs() < limit)) {
      SPANTAP_RETURN_IF_ERROR(source_->Poll(Sink(), kPollMs).status());
      if (recording_ != nullptr) SPANTAP_RETURN_IF_ERROR(recording_->writer().status());
      if (std::cout.fail()) return absl::UnavailableError("stdout was closed; ending");
    }
    return absl::OkStatus();
  }

  // Stops capturing, takes what is left, drains the exporter. Reports the first thing that went wrong.
  absl::Status Close() {
    absl::Status status;
    source_->StopCapture();
    for (;;) {
      absl::StatusOr<int> taken = source_->Poll(Sink(), 0);
      status.Update(taken.status());
      if (!taken.ok() || *taken == 0 || (replay_ != nullptr && StopRequested())) break;
    }
    if (pipeline_ != nullptr) pipeline_->Finish();
    std::cout.flush();
    if (loop_ != nullptr) loop_->Stop();
    if (recording_ != nullptr) status.Update(recording_->writer().Close());
    if (replay_ != nullptr) status.Update(CheckReplay());
    return status;
  }

  // The settings of the run that is to follow, if any.
  const std::optional<Settings>& next() const { return next_; }

  std::string Balance() const {
    if (source_ == nullptr) return LedgerLine(ledger_.Snapshot(), SourceCounters{}, pipeline_.get(), 0);
    return LedgerLine(ledger_.Snapshot(), source_->Counters(), pipeline_.get(),
                      recording_ ? recording_->captured() : 0);
  }

 private:
  EventSink& Sink() { return recording_ != nullptr ? static_cast<EventSink&>(*recording_) : *pipeline_; }

  // True if this run is to end for another one.
  bool Reloaded() {
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

  absl::Status OpenExporter() {
    OtlpHttpTransport::Settings http;
    SPANTAP_ASSIGN_OR_RETURN(http.url, TracesUrl(settings_.endpoints[0]));
    http.headers = settings_.headers;
    SPANTAP_ASSIGN_OR_RETURN(auto transport, OtlpHttpTransport::Create(http));
    Log(LogLevel::kInfo, "exporting", absl::StrCat("endpoint=", transport->Describe()));
    queue_ = std::make_unique<SpanQueue>(SpanQueue::Limits{}, ledger_);
    ExportLoop::Settings loop;
    loop.request_timeout = settings_.timeout;
    loop_ = std::make_unique<ExportLoop>(loop, *queue_, ledger_, std::move(transport),
                                         [](absl::string_view line) { Log(LogLevel::kWarn, line); });
    return absl::OkStatus();
  }

  absl::Status OpenReplay() {
    SPANTAP_ASSIGN_OR_RETURN(auto replay, ReplaySource::Open(settings_.file));
    replay_ = replay.get();
    source_ = std::move(replay);
    return absl::OkStatus();
  }

  absl::Status OpenCapture() {
    SPANTAP_ASSIGN_OR_RETURN(auto live, BpfSource::Open(settings_.capture, settings_.targets));
    live_ = live.get();
    source_ = std::move(live);
    return absl::OkStatus();
  }

  void OpenPipeline() {
    if (replay_ != nullptr) {
      ids_ = std::make_unique<SeededIds>(kReplaySeed);
    } else {
      ids_ = std::make_unique<RandomIds>();
    }
    PipelineSettings pipeline;
    pipeline.links = settings_.links;
    pipeline.style = settings_.style;
    pipeline_ = std::make_unique<Pipeline>(
        pipeline, *ids_, ledger_, queue_.get(),
        [this](uint64_t conn_id, const spantap_order& order) { source_->Order(conn_id, order); });
    if (settings_.command == Command::kTrace ||
        (replay_ != nullptr && (settings_.json || settings_.endpoints.empty()))) {
      pipeline_->SetView(std::make_unique<TraceView>(ViewFor(settings_), std::cout,
                                                     [this](uint32_t tgid) { return pipeline_->ServiceName(tgid); }));
    }
  }

  absl::Status CheckReplay() {
    if (replay_->Truncated()) {
      return absl::DataLossError(
          absl::StrCat(settings_.file, ": the file is cut off; replayed up to its last whole record"));
    }
    const LedgerSnapshot spans = ledger_.Snapshot();
    if (loop_ != nullptr && spans.acknowledged != spans.created) {
      return absl::UnavailableError(absl::StrCat(settings_.endpoints[0], ": ", spans.created - spans.acknowledged,
                                                 " of ", spans.created,
                                                 " spans were not accepted; the ledger says why"));
    }
    return absl::OkStatus();
  }

  const Settings& settings_;
  const ReloadFn& reload_;
  std::optional<Settings> next_;
  Ledger ledger_;
  std::unique_ptr<IdGenerator> ids_;
  std::unique_ptr<SpanQueue> queue_;
  std::unique_ptr<ExportLoop> loop_;
  std::unique_ptr<EventSource> source_;
  BpfSource* live_ = nullptr;       // source_, if it is the kernel
  ReplaySource* replay_ = nullptr;  // source_, if it is a file
  std::unique_ptr<CapturedSink> recording_;
  std::unique_ptr<Pipeline> pipeline_;
};

int Report(const absl::Status& status) {
  if (status.ok()) return 0;
  Log(LogLevel::kError, std::string(status.message()));
  return ExitCodeOf(status);
}

}  // namespace

int RunSession(Settings settings, const ReloadFn& reload) {
  InstallStopSignals();
  for (;;) {
    std::optional<Settings> next;
    int code = 0;
    {
      Session session(settings, reload);
      absl::Status status = session.Open();
      if (status.ok()) {
        Log(LogLevel::kInfo, "ready");
        status = session.Loop();
        status.Update(session.Close());
        next = session.next();
      }
      code = Report(status);
      std::fprintf(stderr, "%s\n", session.Balance().c_str());
    }
    if (code != 0 || !next) return code;
    settings = *std::move(next);
    SetLogLevel(settings.log_level);
    Log(LogLevel::kInfo, "reloaded");
  }
}

}  // namespace spantap
