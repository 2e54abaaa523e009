// SPDX-License-Identifier: Apache-2.0
//
// An exporter over fakes, and the words that its tests share: steps of a collector, spans, the ledger's balance.
//
// One test each. The fakes are shared with the exporter, which a test may destroy before them.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "exporter/otlp/request_wire.h"
#include "exporter/send/exporter.h"
#include "exporter/send/exporter_parts.h"
#include "tests/fakes/fake_spool.h"
#include "tests/fakes/fake_transport.h"

namespace spantap {

using Kind = SendResult::Kind;

inline FakeStep Step(Kind kind, uint64_t rejected = 0) {
  FakeStep step;
  step.result.kind = kind;
  step.result.rejected = rejected;
  if (kind != Kind::kAcknowledged) step.result.message = "scripted";
  return step;
}
inline FakeStep RetryAfter(absl::Duration wait) {
  FakeStep step = Step(Kind::kRetry);
  step.result.retry_after = wait;
  return step;
}
inline FakeStep Slow(absl::Duration takes, Kind kind = Kind::kAcknowledged) {
  FakeStep step = Step(kind);
  step.takes = takes;
  return step;
}
inline FakeStep Deaf(absl::Duration takes) {
  FakeStep step = Slow(takes);
  step.deaf = true;
  return step;
}
inline FakeStep Http(Kind kind, int status) {
  FakeStep step = Step(kind);
  step.result.http_status = status;
  return step;
}
inline FakeStep Grpc(Kind kind, int status) {
  FakeStep step = Step(kind);
  step.result.http_status = 200;
  step.result.grpc_status = status;
  return step;
}

inline uint64_t SpansIn(const std::string& request) { return CountSpans(request).value_or(0); }

inline std::vector<Span> MakeSpans(int n, size_t name_bytes = 4) {
  std::vector<Span> spans(static_cast<size_t>(n));
  for (Span& span : spans) span.name = std::string(name_bytes, 'n');
  return spans;
}

// Fast enough for a test, slow enough to order things by.
inline ExporterSettings FastSettings() {
  ExporterSettings settings;
  settings.batch.max_delay = absl::Milliseconds(5);
  settings.retry.initial = absl::Milliseconds(10);
  settings.retry.max = absl::Milliseconds(50);
  settings.drain = absl::Seconds(20);
  return settings;
}

// Batches of `spans` at most, full ones at once.
inline ExporterSettings SmallBatches(size_t spans) {
  ExporterSettings settings = FastSettings();
  settings.batch.target_spans = settings.batch.max_spans = spans;
  return settings;
}

class ExporterFixture {
 public:
  struct Options {
    size_t endpoints = 1;
    bool spool = false;
  };
  explicit ExporterFixture(const ExporterSettings& settings) : ExporterFixture(settings, Options()) {}
  ExporterFixture(const ExporterSettings& settings, const Options& options) {
    for (size_t i = 0; i < options.endpoints; ++i) wires.push_back(std::make_shared<FakeWire>());
    this->settings = settings;
    with_spool = options.spool;
    Open();
  }
  ~ExporterFixture() { exporter.reset(); }

  void Open() {
    ExporterParts parts;
    parts.transports = [wires = wires]() -> absl::StatusOr<std::vector<std::unique_ptr<Transport>>> {
      std::vector<std::unique_ptr<Transport>> transports;
      for (const auto& wire : wires) {
        transports.push_back(std::make_unique<FakeTransport>(wire, "fake://" + std::to_string(transports.size())));
      }
      return transports;
    };
    if (with_spool) {
      parts.spool = [disk = disk](Spool::LossFn lost, Spool::LogFn) -> absl::StatusOr<std::unique_ptr<Spool>> {
        return std::make_unique<FakeSpool>(disk, std::move(lost));
      };
    }
    auto made = MakeExporter(settings, std::move(parts), ledger, [this](absl::string_view line) {
      absl::MutexLock lock(&mutex);
      lines.emplace_back(line);
    });
    REQUIRE(made.ok());
    exporter = *std::move(made);
  }

  FakeWire& wire(size_t i = 0) { return *wires[i]; }
  void Push(int n, size_t name_bytes = 4) { exporter->queue().PushAll(MakeSpans(n, name_bytes)); }

  using Drops = std::vector<std::pair<DropReason, uint64_t>>;
  // All that was created has become this.
  void CheckLedger(uint64_t acknowledged, const Drops& dropped = {}, uint64_t spooled = 0) {
    LedgerSnapshot expected = ledger.Snapshot();
    expected.acknowledged = acknowledged;
    expected.spooled = spooled;
    expected.dropped = {};
    for (const auto& [reason, n] : dropped) expected.dropped[static_cast<size_t>(reason)] = n;
    CHECK(ledger.Snapshot().Format() == expected.Format());
    CHECK(ledger.Snapshot().in_flight() == 0);
    if (with_spool) CHECK(disk->spans() == spooled);
  }
  bool WaitUntil(const std::function<bool()>& done, absl::Duration at_most = absl::Seconds(20)) {
    const uint64_t start_ns = MonoNs();
    while (!done()) {
      if (absl::Nanoseconds(MonoNs() - start_ns) > at_most) return false;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return true;
  }
  bool WaitForNothingInFlight() {
    return WaitUntil([this] { return ledger.Snapshot().in_flight() == 0; });
  }
  absl::Duration TimedStop() {
    const uint64_t start_ns = MonoNs();
    exporter->Stop();
    return absl::Nanoseconds(MonoNs() - start_ns);
  }
  std::string Log() {
    absl::MutexLock lock(&mutex);
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
  }

  Ledger ledger;
  std::vector<std::shared_ptr<FakeWire>> wires;
  std::shared_ptr<FakeDisk> disk = std::make_shared<FakeDisk>();
  ExporterSettings settings;
  bool with_spool = false;
  absl::Mutex mutex;
  std::vector<std::string> lines;
  std::unique_ptr<Exporter> exporter;
};

}  // namespace spantap
