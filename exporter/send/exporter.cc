// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/exporter.h"

#include <unistd.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "exporter/send/accounts.h"
#include "exporter/send/export_pipeline.h"
#include "exporter/send/exporter_parts.h"
#include "exporter/send/line_limiter.h"

namespace spantap {
namespace {

absl::Status CheckSettings(const ExporterSettings& s) {
  const auto bad = [](absl::string_view what) { return absl::InvalidArgumentError(absl::StrCat("export: ", what)); };
  if (s.queue.max_spans == 0 || s.queue.max_bytes == 0) return bad("the queue must have room for something");
  if (s.batch.target_spans == 0 || s.batch.max_spans < s.batch.target_spans) {
    return bad("a batch has at least one span, and its largest count is not below its target");
  }
  if (s.batch.max_bytes == 0 || s.batch.max_bytes > 64 << 20) return bad("a batch has at most 64 MiB, and more than 0");
  if (s.batch.max_delay < absl::ZeroDuration()) return bad("the batch delay must not be negative");
  if (s.request_timeout <= absl::ZeroDuration()) return bad("the request timeout must be positive");
  if (s.retry.initial <= absl::ZeroDuration() || s.retry.max < s.retry.initial) {
    return bad("the first retry wait must be positive, and the longest not below it");
  }
  if (s.retry.give_up < absl::ZeroDuration()) return bad("the time to give up a batch must not be negative");
  if (s.drain < absl::ZeroDuration()) return bad("the drain must not be negative");
  return absl::OkStatus();
}

// Its owner is another process, in which it still lives.
template <typename T>
void Leak(std::shared_ptr<T> kept) {
  new std::shared_ptr<T>(std::move(kept));
}

class ExporterImpl final : public Exporter {
 public:
  ExporterImpl(const ExporterSettings& settings, ExporterParts parts, Ledger& ledger,
               std::function<void(absl::string_view)> log)
      : settings_(settings),
        parts_(std::move(parts)),
        accounts_(std::make_shared<Accounts>(ledger, std::move(log))),
        queue_(std::make_shared<SpanQueue>(settings.queue, ledger)) {}

  ~ExporterImpl() override;
  absl::Status Open(bool with_spool);

  SpanQueue& queue() override { return *queue_; }
  void Start() override;
  void RequestStop() override {
    if (!queue_->InChild()) pipeline_->RequestStop();
  }
  void Stop() override;
  ExporterStatus status() const override { return queue_->InChild() ? ExporterStatus{} : pipeline_->status(); }

 private:
  bool Foreign() const { return queue_->InChild() || (!started_ && getpid() != opened_in_); }
  void LeakPipeline();

  const ExporterSettings settings_;
  const ExporterParts parts_;
  const std::shared_ptr<Accounts> accounts_;  // shared with threads that may have to be left behind
  const std::shared_ptr<SpanQueue> queue_;    // likewise
  std::shared_ptr<ExportPipeline> pipeline_;  // likewise
  pid_t opened_in_ = 0;
  bool started_ = false;
  bool stopped_ = false;
};

absl::Status ExporterImpl::Open(bool with_spool) {
  SPANTAP_ASSIGN_OR_RETURN(auto transports, parts_.transports());
  if (transports.empty()) return absl::InvalidArgumentError("export: no endpoint");
  std::unique_ptr<Spool> spool;
  if (with_spool && parts_.spool) {
    // The spool may be left behind with a thread that hangs in it, so it holds what it reports to.
    auto opened = parts_.spool([accounts = accounts_](SpoolLoss why, uint64_t spans) { accounts->Lost(why, spans); },
                               [accounts = accounts_, limiter = LineLimiter()](absl::string_view line) mutable {
                                 const std::string passed = limiter.Pass(MonoNs(), line);
                                 if (!passed.empty()) accounts->Log(passed);
                               });
    if (opened.ok()) {
      spool = *std::move(opened);
    } else {
      accounts_->Log(absl::StrCat("spool state=off action=\"spans are kept in memory only\" cause=\"",
                                  std::string(opened.status().message()), "\""));
    }
  }
  pipeline_ = std::make_shared<ExportPipeline>(settings_, queue_, accounts_, std::move(transports), std::move(spool));
  opened_in_ = getpid();
  return absl::OkStatus();
}

// Of a parent: its connections and its spool must not be closed here, and its threads do not exist.
void ExporterImpl::LeakPipeline() { Leak(std::move(pipeline_)); }

ExporterImpl::~ExporterImpl() {
  if (pipeline_ == nullptr) return;
  if (Foreign()) {
    LeakPipeline();
    Leak(accounts_);
    Leak(queue_);
    return;
  }
  Stop();
}

void ExporterImpl::Start() {
  if (started_ || stopped_) return;
  if (getpid() != opened_in_) {
    LeakPipeline();
    if (parts_.spool)
      accounts_->Log(
          "spool state=off action=\"spans are kept in memory only\" cause=\"it belongs to the parent process\"");
    if (const absl::Status status = Open(/*with_spool=*/false); !status.ok()) {
      stopped_ = true;
      queue_->Close();
      return accounts_->Log(absl::StrCat("export: not started: ", std::string(status.message())));
    }
  }
  started_ = true;
  queue_->ArmForkGuard();
  pipeline_->Start();
}

void ExporterImpl::Stop() {
  if (stopped_ || Foreign()) return;
  if (!started_ && queue_->size() == 0) {  // nobody needs threads, nor a batch of the backlog sent that nobody counted
    stopped_ = true;
    queue_->Close();
    return accounts_->Abandon(*queue_);
  }
  // What was queued without threads is sent now, and not at leisure.
  if (!started_) pipeline_->BeginStop();
  Start();
  stopped_ = true;
  pipeline_->Stop();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Exporter>> MakeExporter(const ExporterSettings& settings, ExporterParts parts,
                                                       Ledger& ledger, std::function<void(absl::string_view)> log) {
  SPANTAP_RETURN_IF_ERROR(CheckSettings(settings));
  auto exporter = std::make_unique<ExporterImpl>(settings, std::move(parts), ledger, std::move(log));
  SPANTAP_RETURN_IF_ERROR(exporter->Open(/*with_spool=*/true));
  return exporter;
}

absl::StatusOr<std::unique_ptr<Exporter>> Exporter::Create(const ExporterSettings& settings, Ledger& ledger,
                                                           std::function<void(absl::string_view)> log) {
  ExporterParts parts;
  parts.transports = [endpoints = settings.endpoints]() -> absl::StatusOr<std::vector<std::unique_ptr<Transport>>> {
    std::vector<std::unique_ptr<Transport>> transports;
    for (const TransportSettings& endpoint : endpoints) {
      SPANTAP_ASSIGN_OR_RETURN(auto transport, MakeTransport(endpoint));
      transports.push_back(std::move(transport));
    }
    return transports;
  };
  if (settings.spool.has_value()) {
    parts.spool = [spool = *settings.spool](Spool::LossFn lost, Spool::LogFn log) {
      return Spool::Open(spool, std::move(lost), std::move(log));
    };
  }
  return MakeExporter(settings, std::move(parts), ledger, std::move(log));
}

}  // namespace spantap
