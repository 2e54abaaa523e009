// SPDX-License-Identifier: Apache-2.0
//
// Conservation to the span: whatever collectors, disk and time of the end may do, each span that went in was taken by
// a collector, lies on disk, or is counted as dropped; and at every moment on the way the ledger balances.
#include <atomic>
#include <cstring>
#include <random>
#include <set>
#include <thread>

#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "tests/exporter/send/exporter_fixture.h"

namespace spantap {
namespace {

using SpanIds = std::set<std::string>;

void AddIds(const std::string& request, SpanIds& ids) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest parsed;
  REQUIRE(parsed.ParseFromString(request));
  for (const auto& group : parsed.resource_spans()) {
    for (const auto& scope : group.scope_spans()) {
      for (const auto& span : scope.spans()) ids.insert(span.span_id());
    }
  }
}

// A collector that does anything. What it takes, it takes for good.
class RandomCollector {
 public:
  explicit RandomCollector(uint64_t seed) : random_(seed) {}

  FakeStep operator()(absl::string_view request) {
    const auto pick = random_() % 12;
    FakeStep step = Pick(pick, request);
    if (random_() % 20 == 0) step.takes = absl::Milliseconds(random_() % 8);
    if (step.takes > absl::Milliseconds(3)) return step;  // times out: no answer, and nothing taken
    if (step.result.kind == Kind::kAcknowledged) AddIds(std::string(request), taken);
    return step;
  }

  SpanIds taken;

 private:
  FakeStep Pick(uint64_t pick, absl::string_view request) {
    if (request.size() > 40'000) return Http(Kind::kTooLarge, 413);
    switch (pick) {
      case 0:
        return Step(Kind::kRetry);
      case 1:
        return RetryAfter(absl::Milliseconds(random_() % 10));
      case 2:
        return Http(Kind::kDropHttp, 400);
      case 3:
        return Grpc(Kind::kDropGrpc, 3);
      case 4:
        return Step(Kind::kDropResponse);
      case 5:
        return Grpc(Kind::kTooLarge, 8);
      case 6:
        return Step(Kind::kAcknowledged, random_() % 5);
      default:
        return Step(Kind::kAcknowledged);
    }
  }

  std::mt19937_64 random_;
};

class Run {
 public:
  explicit Run(uint64_t seed)
      : random_(seed), f_(Settings(), {.endpoints = 1 + random_() % 3, .spool = random_() % 4 != 0}) {
    for (auto& wire : f_.wires) {
      collectors_.push_back(std::make_shared<RandomCollector>(random_()));
      wire->AnswerBy([collector = collectors_.back()](absl::string_view request) { return (*collector)(request); });
    }
    if (random_() % 3 == 0) f_.disk->LimitBatches(3);
    if (random_() % 6 == 0) f_.disk->Fail(absl::ResourceExhaustedError("full"));
  }

  void Go() {
    std::atomic<bool> over{false};
    std::thread auditor([&] {
      while (!over) Audit();
    });
    f_.exporter->Start();
    std::vector<std::thread> producers;
    for (uint64_t p = 0; p < 2; ++p) {
      producers.emplace_back([this, p, seed = random_()] { Produce(p, seed); });
    }
    for (std::thread& producer : producers) producer.join();
    f_.exporter->Stop();
    over = true;
    auditor.join();
    Settle();
  }

 private:
  ExporterSettings Settings() {
    ExporterSettings settings = SmallBatches(64);
    settings.batch.max_delay = absl::Milliseconds(1);
    settings.retry.initial = absl::Milliseconds(1);
    settings.retry.max = absl::Milliseconds(4);
    settings.retry.give_up = absl::Milliseconds(random_() % 20);
    settings.request_timeout = absl::Milliseconds(3);
    settings.queue.max_spans = 256;
    settings.drain = absl::Milliseconds(random_() % 60);
    return settings;
  }

  void Produce(uint64_t producer, uint64_t seed) {
    std::mt19937_64 random(seed);
    uint64_t next = producer << 32;
    for (int i = 0; i < 60; ++i) {
      std::vector<Span> spans = MakeSpans(static_cast<int>(1 + random() % 60), 1 + random() % 2000);
      for (Span& span : spans) {
        ++next;
        std::memcpy(span.span_id.bytes.data(), &next, sizeof(next));
      }
      pushed_ += spans.size();
      f_.exporter->queue().PushAll(std::move(spans));
      if (random() % 2 == 0) absl::SleepFor(absl::Microseconds(random() % 1500));
    }
  }

  void Audit() {
    const LedgerSnapshot ledger = f_.ledger.Snapshot();
    ++audits_;
    const auto in_flight = static_cast<int64_t>(ledger.in_flight());
    if (in_flight < 0 || ledger.spooled > ledger.created || ledger.acknowledged > ledger.created) ++unbalanced_;
  }

  void Settle() {
    const LedgerSnapshot ledger = f_.ledger.Snapshot();
    INFO(ledger.Format());
    CHECK(unbalanced_ == 0);
    CHECK(audits_ > 0);
    CHECK(ledger.created == pushed_);
    CHECK(ledger.in_flight() == 0);
    CHECK(ledger.dropped[static_cast<size_t>(DropReason::kEncode)] == 0);
    CHECK(ledger.dropped[static_cast<size_t>(DropReason::kTooLarge)] == 0);
    SpanIds taken, kept;
    for (const auto& collector : collectors_) taken.insert(collector->taken.begin(), collector->taken.end());
    for (const FakeDisk::Record& record : f_.disk->records()) AddIds(record.request, kept);
    CHECK(f_.disk->spans() == ledger.spooled);
    CHECK(kept.size() == ledger.spooled);
    // An acknowledged span was taken; what neither was taken nor lies on disk has been dropped. (One that was taken
    // may be counted as dropped too: partial success, a limit of the spool, an answer after the end.)
    CHECK(ledger.acknowledged <= taken.size());
    SpanIds safe = taken;
    safe.insert(kept.begin(), kept.end());
    CHECK(pushed_ - safe.size() <= ledger.total_dropped());
  }

  std::mt19937_64 random_;
  ExporterFixture f_;
  std::vector<std::shared_ptr<RandomCollector>> collectors_;
  std::atomic<uint64_t> pushed_{0}, audits_{0}, unbalanced_{0};
};

TEST_CASE("conservation: random answers, disks and ends, watched all the way", "[send]") {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    INFO("seed " << seed);
    Run(seed).Go();
  }
}

// Only the order of loads and moves, as fast as it goes.
TEST_CASE("conservation: a snapshot never shows less than nothing in flight", "[send]") {
  Ledger ledger;
  std::atomic<bool> over{false};
  std::thread mover([&] {
    for (int i = 0; i < 200'000; ++i) {
      ledger.Created(3);
      ledger.Spooled(2);
      ledger.Dropped(DropReason::kQueueFull, 1);
      ledger.Unspooled(2);
      ledger.Acknowledged(1);
      ledger.Dropped(DropReason::kHttpStatus, 1);
      ledger.Recovered(1);
      ledger.Unspooled(1);
      ledger.Acknowledged(1);
    }
    over = true;
  });
  uint64_t wrong = 0;
  while (!over) {
    const LedgerSnapshot snapshot = ledger.Snapshot();
    wrong += static_cast<int64_t>(snapshot.in_flight()) < 0 || snapshot.recovered > snapshot.created ? 1 : 0;
  }
  mover.join();
  CHECK(wrong == 0);
  CHECK(ledger.Snapshot().in_flight() == 0);
  CHECK(ledger.Snapshot().created == 800'000);
}

}  // namespace
}  // namespace spantap
