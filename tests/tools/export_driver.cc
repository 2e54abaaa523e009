// SPDX-License-Identifier: Apache-2.0
//
// The exporter without an agent: makes spans, exports them, and says what became of them. JSON lines on stdout
// ("event": started, status, made, final), the exporter's log on stderr. SIGTERM stops it in any state, first by
// RequestStop() in the handler, then by Stop(). Exit 0 if it ran, 2 for wrong use.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/clock.h"
#include "exporter/send/exporter_parts.h"
#include "tests/tools/audit_spool.h"
#include "tests/tools/driver_options.h"
#include "tests/tools/made_spans.h"

namespace spantap {
namespace {

using nlohmann::json;

std::atomic<Exporter*> signalled_exporter{nullptr};
std::atomic<uint64_t> signalled_ns{0};

void OnTerm(int) {
  uint64_t never = 0;
  signalled_ns.compare_exchange_strong(never, MonoNs());
  if (Exporter* exporter = signalled_exporter.load()) exporter->RequestStop();
}

void SleepMs(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

uint64_t RssKib(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field, 0) == 0) return std::stoull(line.substr(line.find(':') + 1));
  }
  return 0;
}

void Print(const json& line) {
  std::printf("%s\n", line.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  std::fflush(stdout);
}

json LedgerJson(const LedgerSnapshot& ledger) {
  json dropped = json::object();
  for (size_t i = 0; i < ledger.dropped.size(); ++i) {
    if (ledger.dropped[i] > 0) dropped[std::string(DropReasonName(static_cast<DropReason>(i)))] = ledger.dropped[i];
  }
  return {{"created", ledger.created}, {"recovered", ledger.recovered},   {"acknowledged", ledger.acknowledged},
          {"spooled", ledger.spooled}, {"in_flight", ledger.in_flight()}, {"dropped", dropped},
          {"line", ledger.Format()}};
}

json StatusJson(const ExporterStatus& status) {
  json endpoints = json::array();
  for (const auto& endpoint : status.endpoints) {
    endpoints.push_back({{"name", endpoint.name},
                         {"state", endpoint.state},
                         {"cause", endpoint.cause},
                         {"requests", endpoint.requests},
                         {"failures", endpoint.failures}});
  }
  json out = {{"endpoints", endpoints},
              {"queued_spans", status.queued_spans},
              {"queued_bytes", status.queued_bytes},
              {"request_bytes", status.request_bytes}};
  if (status.spool) {
    const Spool::Stats& spool = *status.spool;
    out["spool"] = {{"batches", spool.batches},
                    {"spans", spool.spans},
                    {"bytes", spool.bytes},
                    {"segments", spool.segments},
                    {"damaged_segments", spool.damaged_segments},
                    {"damaged_bytes", spool.damaged_bytes},
                    {"append_errors", spool.append_errors}};
  }
  return out;
}

class Driver {
 public:
  explicit Driver(const DriverOptions& options) : options_(options) {}
  absl::Status Run();

 private:
  absl::Status MakeIt();
  void Produce();
  bool MayPush(const std::vector<Span>& chunk) const;
  void AwaitEnd();
  bool Settled() const;
  void Report(const char* event, json more = json::object());

  const DriverOptions options_;
  const uint64_t started_ns_ = MonoNs();
  Ledger ledger_;
  ExporterSettings settings_;
  std::unique_ptr<Exporter> exporter_;
  std::atomic<bool> made_{false};
};

absl::Status Driver::MakeIt() {
  auto settings = options_.Settings();
  if (!settings.ok()) return settings.status();
  settings_ = *std::move(settings);
  ExporterParts parts;
  parts.transports = [this]() -> absl::StatusOr<std::vector<std::unique_ptr<Transport>>> {
    std::vector<std::unique_ptr<Transport>> transports;
    for (const TransportSettings& endpoint : settings_.endpoints) {
      auto transport = MakeTransport(endpoint);
      if (!transport.ok()) return transport.status();
      transports.push_back(*std::move(transport));
    }
    return transports;
  };
  if (settings_.spool) {
    parts.spool = [this](Spool::LossFn lost, Spool::LogFn log) -> absl::StatusOr<std::unique_ptr<Spool>> {
      auto spool = Spool::Open(*settings_.spool, std::move(lost), std::move(log));
      if (!spool.ok() || options_.audit.empty()) return spool;
      return std::unique_ptr<Spool>(std::make_unique<AuditSpool>(*std::move(spool), options_.audit));
    };
  }
  auto exporter = MakeExporter(settings_, std::move(parts), ledger_,
                               [](absl::string_view line) { std::fprintf(stderr, "%s\n", std::string(line).c_str()); });
  if (!exporter.ok()) return exporter.status();
  exporter_ = *std::move(exporter);
  return absl::OkStatus();
}

// Never refused: this is the only producer, and what it adds fits.
bool Driver::MayPush(const std::vector<Span>& chunk) const {
  size_t bytes = exporter_->queue().bytes();
  for (const Span& span : chunk) bytes += span.ApproximateBytes();
  return exporter_->queue().size() + chunk.size() <= settings_.queue.max_spans && bytes <= settings_.queue.max_bytes;
}

void Driver::Produce() {
  const MadeSpans made(options_.seed, options_.filler);
  const uint32_t end = options_.first + options_.spans;
  for (uint32_t next = options_.first; next < end && signalled_ns == 0;) {
    std::vector<Span> chunk;
    while (chunk.size() < options_.chunk && next < end) chunk.push_back(made.Model(next++));
    while (options_.back_pressure && !MayPush(chunk) && signalled_ns == 0) SleepMs(1);
    if (options_.back_pressure && signalled_ns != 0) break;
    exporter_->queue().PushAll(std::move(chunk));
    if (options_.rate <= 0) continue;
    const double due_s = (next - options_.first) / options_.rate;
    const double now_s = static_cast<double>(MonoNs() - started_ns_) / 1e9;
    if (due_s > now_s) std::this_thread::sleep_for(std::chrono::duration<double>(due_s - now_s));
  }
  made_ = true;
}

bool Driver::Settled() const {
  const LedgerSnapshot ledger = ledger_.Snapshot();
  return ledger.in_flight() == 0 && ledger.spooled == 0;
}

void Driver::AwaitEnd() {
  uint64_t made_ns = 0;
  for (uint64_t next_status_ns = started_ns_; signalled_ns == 0; SleepMs(1)) {
    const uint64_t now_ns = MonoNs();
    if (options_.status_ms > 0 && now_ns >= next_status_ns) {
      Report("status");
      next_status_ns = now_ns + uint64_t{options_.status_ms} * 1'000'000;
    }
    if (!made_) continue;
    if (made_ns == 0) {
      made_ns = now_ns;
      Report("made");
    }
    if (options_.end == "stop") return;
    if (options_.end == "settled" && (Settled() || now_ns - made_ns > uint64_t{options_.settle_ms} * 1'000'000)) return;
  }
}

void Driver::Report(const char* event, json more) {
  more["event"] = event;
  more["ms"] = (MonoNs() - started_ns_) / 1'000'000;
  more["ledger"] = LedgerJson(ledger_.Snapshot());
  more["status"] = StatusJson(exporter_->status());
  more["rss_kib"] = RssKib("VmRSS");
  Print(more);
}

absl::Status Driver::Run() {
  if (absl::Status status = MakeIt(); !status.ok()) return status;
  signalled_exporter = exporter_.get();
  struct sigaction action = {};
  action.sa_handler = OnTerm;
  sigaction(SIGTERM, &action, nullptr);
  exporter_->Start();
  Report("started");
  std::thread producer([this] { Produce(); });
  AwaitEnd();
  const uint64_t stop_ns = signalled_ns != 0 ? signalled_ns.load() : MonoNs();
  producer.join();
  exporter_->Stop();
  const uint64_t stopped_ms = (MonoNs() - stop_ns) / 1'000'000;
  signalled_exporter = nullptr;
  json more = {{"stop_ms", stopped_ms}, {"rss_peak_kib", RssKib("VmHWM")}};
  Report("final", std::move(more));
  exporter_.reset();
  return absl::OkStatus();
}

}  // namespace
}  // namespace spantap

int main(int argc, char** argv) {
  CLI::App app("Makes spans and exports them");
  spantap::DriverOptions options;
  options.AddTo(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (const absl::Status status = spantap::Driver(options).Run(); !status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 2;
  }
  return 0;
}
