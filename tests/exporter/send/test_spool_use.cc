// SPDX-License-Identifier: Apache-2.0
//
// The exporter with a spool (a fake one): what overflows, what is read back and when, what a disk may do to it.
#include "exporter/otlp/otlp_encoder.h"
#include "exporter/send/line_limiter.h"
#include "tests/exporter/send/exporter_fixture.h"

namespace spantap {
namespace {

const ExporterFixture::Options kSpool = {.endpoints = 1, .spool = true};

std::string Encoded(int spans, size_t name_bytes = 4) {
  OtlpEncoder encoder("1");
  const std::vector<Span> made = MakeSpans(spans, name_bytes);
  return std::string(encoder.Encode(made));
}

// The exporter takes what is on disk when it is made.
class Recovering {
 public:
  explicit Recovering(const ExporterSettings& settings, const std::vector<int>& batches, size_t name_bytes = 4)
      : f(settings, kSpool) {
    f.exporter.reset();
    for (const int spans : batches) f.disk->Add(Encoded(spans, name_bytes), static_cast<uint64_t>(spans));
    f.Open();
  }
  // One span at a time; how many it took.
  uint64_t PushUntilNothingIsSpooled() {
    uint64_t pushed = 0;
    REQUIRE(f.WaitUntil([&] {
      f.Push(1);
      ++pushed;
      return f.ledger.Snapshot().spooled == 0;
    }));
    return pushed;
  }
  ExporterFixture f;
};

TEST_CASE("spool: while the collector is down what overflows goes to disk, and arrives afterwards", "[send]") {
  ExporterSettings settings = SmallBatches(10);
  settings.queue.max_spans = 1000;
  ExporterFixture f(settings, kSpool);
  f.wire().Script({Step(Kind::kRetry)});
  f.exporter->Start();
  f.Push(10);
  REQUIRE(f.wire().WaitForCalls(1));
  f.Push(490);
  REQUIRE(f.WaitUntil([&] { return f.ledger.Snapshot().spooled >= 400; }));
  CHECK(f.ledger.Snapshot().spooled == f.disk->spans());
  CHECK(f.ledger.Snapshot().total_dropped() == 0);
  CHECK(f.exporter->status().spool->spans == f.disk->spans());
  f.wire().Script({Step(Kind::kAcknowledged)});
  REQUIRE(f.WaitUntil([&] { return f.ledger.Snapshot().acknowledged == 500; }));
  f.exporter->Stop();
  f.CheckLedger(500);
}

TEST_CASE("spool: a collector that is only slow is waited for in memory", "[send]") {
  ExporterSettings settings = SmallBatches(10);
  settings.queue.max_spans = 1000;
  ExporterFixture f(settings, kSpool);
  f.wire().Script({Slow(absl::Milliseconds(1))});
  f.exporter->Start();
  f.Push(300);
  REQUIRE(f.WaitForNothingInFlight());
  CHECK(f.disk->appends() == 0);
  f.exporter->Stop();
  f.CheckLedger(300);
}

TEST_CASE("spool: an exporter that is never started sends and counts nothing of it", "[send]") {
  Recovering r(FastSettings(), {3, 4, 5});
  SECTION("stopped") { r.f.exporter->Stop(); }
  SECTION("destroyed") {}
  r.f.exporter.reset();
  CHECK(r.f.wire().calls().empty());
  CHECK(r.f.ledger.Snapshot().created == 0);
  CHECK(r.f.disk->spans() == 12);
  CHECK_FALSE(r.f.disk->open());
}

TEST_CASE("spool: what an earlier run left is counted as recovered and sent oldest first", "[send]") {
  Recovering r(FastSettings(), {3, 4, 5});
  r.f.exporter->Start();
  CHECK(r.f.ledger.Snapshot().recovered == 12);
  CHECK(r.f.ledger.Snapshot().created == 12);
  REQUIRE(r.f.WaitUntil([&] { return r.f.ledger.Snapshot().acknowledged == 12; }));
  r.f.exporter->Stop();
  r.f.CheckLedger(12);
  const auto calls = r.f.wire().calls();
  REQUIRE(calls.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(SpansIn(calls[i].body) == 3 + i);
  CHECK(r.f.ledger.Snapshot().Format() == "created=12 recovered=12 acknowledged=12 in_flight=0 spooled=0 dropped=0");
}

TEST_CASE("spool: refusals and partial success of a spooled batch are counted when it leaves the disk", "[send]") {
  Recovering r(FastSettings(), {3, 4, 5, 6});
  r.f.wire().Script(
      {Step(Kind::kAcknowledged, 2), Http(Kind::kDropHttp, 400), Step(Kind::kDropResponse), Grpc(Kind::kDropGrpc, 13)});
  r.f.exporter->Start();
  REQUIRE(r.f.WaitUntil([&] { return r.f.ledger.Snapshot().spooled == 0; }));
  r.f.exporter->Stop();
  r.f.CheckLedger(1, {{DropReason::kRejected, 2},
                      {DropReason::kHttpStatus, 4},
                      {DropReason::kBadResponse, 5},
                      {DropReason::kGrpcStatus, 6}});
}

TEST_CASE("spool: a backlog is sent at its rate, between fresh batches", "[send]") {
  const size_t bytes = Encoded(10, 1000).size();
  ExporterSettings settings = SmallBatches(1);
  settings.spool_bytes_per_s = bytes * 50;  // 20 ms each
  Recovering r(settings, std::vector<int>(6, 10), 1000);
  r.f.exporter->Start();
  const uint64_t fresh = r.PushUntilNothingIsSpooled();
  r.f.exporter->Stop();
  r.f.CheckLedger(60 + fresh);
  std::vector<uint64_t> at_ns;
  for (const FakeWire::Call& call : r.f.wire().calls()) {
    if (SpansIn(call.body) == 10) at_ns.push_back(call.at_ns);
  }
  REQUIRE(at_ns.size() == 6);
  CHECK(at_ns[5] - at_ns[0] >= 99'000'000);
  CHECK(r.f.wire().calls().size() > 20);  // the fresh ones were not held up
}

TEST_CASE("spool: with nothing fresh a spooled batch is the probe, at the pace of the backoff", "[send]") {
  ExporterSettings settings = FastSettings();
  settings.retry.initial = settings.retry.max = absl::Milliseconds(30);
  Recovering r(settings, {3, 4});
  r.f.wire().Script({Step(Kind::kRetry)});
  r.f.exporter->Start();
  REQUIRE(r.f.wire().WaitForCalls(4));
  auto calls = r.f.wire().calls();
  for (const FakeWire::Call& call : calls) CHECK(SpansIn(call.body) == 3);
  for (size_t i = 1; i < calls.size(); ++i) CHECK(calls[i].at_ns - calls[i - 1].at_ns >= 15'000'000);
  CHECK(r.f.ledger.Snapshot().spooled == 7);
  r.f.wire().Script({Step(Kind::kAcknowledged)});
  REQUIRE(r.f.WaitUntil([&] { return r.f.ledger.Snapshot().acknowledged == 7; }));
  r.f.exporter->Stop();
  r.f.CheckLedger(7);
}

TEST_CASE("spool: a batch that is given up goes to disk", "[send]") {
  ExporterSettings settings = FastSettings();
  settings.retry.give_up = absl::Milliseconds(40);
  ExporterFixture f(settings, kSpool);
  f.wire().Script({Step(Kind::kRetry)});
  f.exporter->Start();
  f.Push(5);
  REQUIRE(f.WaitUntil([&] { return f.ledger.Snapshot().spooled == 5; }));
  CHECK(f.ledger.Snapshot().in_flight() == 0);
  f.exporter->Stop();
  f.CheckLedger(0, {}, 5);
}

TEST_CASE("spool: one that is split leaves the disk as a whole", "[send]") {
  Recovering r(FastSettings(), {100}, 1000);
  const size_t half = Encoded(100, 1000).size() * 2 / 3;
  r.f.wire().AnswerBy([half](absl::string_view request) {
    return request.size() > half ? Http(Kind::kTooLarge, 413) : Step(Kind::kAcknowledged);
  });
  r.f.exporter->Start();
  REQUIRE(r.f.WaitUntil([&] { return r.f.ledger.Snapshot().spooled == 0; }));
  r.f.exporter->Stop();
  r.f.CheckLedger(100);
  CHECK(r.f.wire().calls().size() == 3);
}

TEST_CASE("spool: half of a split batch does not settle it", "[send]") {
  ExporterSettings settings = FastSettings();
  settings.retry.initial = settings.retry.max = absl::Hours(1);
  Recovering r(settings, {100}, 1000);
  r.f.wire().Script({Http(Kind::kTooLarge, 413), Step(Kind::kAcknowledged), Step(Kind::kRetry)});
  r.f.exporter->Start();
  REQUIRE(r.f.wire().WaitForCalls(3));
  r.f.exporter->Stop();
  r.f.CheckLedger(0, {}, 100);
}

TEST_CASE("spool: a limit that takes a batch while it is sent has counted it", "[send]") {
  Recovering r(FastSettings(), {3});
  r.f.wire().Script({Slow(absl::Milliseconds(30))});
  r.f.exporter->Start();
  REQUIRE(r.f.wire().WaitForCalls(1));
  r.f.disk->LoseOldest(SpoolLoss::kExpired);
  r.f.exporter->Stop();
  r.f.CheckLedger(0, {{DropReason::kSpoolExpired, 3}});
}

TEST_CASE("spool: losses are counted by their cause", "[send]") {
  Recovering r(FastSettings(), {3, 4, 5});
  r.f.wire().Script({Step(Kind::kRetry)});
  r.f.exporter->Start();
  for (const SpoolLoss why : {SpoolLoss::kEvicted, SpoolLoss::kExpired, SpoolLoss::kDamaged}) {
    r.f.disk->LoseOldest(why);
  }
  r.f.exporter->Stop();
  r.f.CheckLedger(0, {{DropReason::kSpoolFull, 3}, {DropReason::kSpoolExpired, 4}, {DropReason::kSpoolDamaged, 5}});
}

TEST_CASE("spool: a disk that cannot be written leaves it to memory", "[send]") {
  ExporterSettings settings = SmallBatches(10);
  settings.queue.max_spans = 20;
  settings.drain = absl::ZeroDuration();
  ExporterFixture f(settings, kSpool);
  f.disk->Fail(absl::ResourceExhaustedError("no space left on device"));
  f.wire().Script({Step(Kind::kRetry)});
  f.exporter->Start();
  for (int i = 0; i < 60; ++i) {
    f.Push(5);
    absl::SleepFor(absl::Milliseconds(1));
  }
  CHECK(f.ledger.Snapshot().spooled == 0);
  CHECK(f.ledger.Snapshot().dropped[static_cast<size_t>(DropReason::kQueueFull)] > 100);
  f.exporter->Stop();
  CHECK(f.ledger.Snapshot().in_flight() == 0);
  CHECK(f.disk->appends() <= 3);  // not at every span
}

TEST_CASE("spool: what cannot be read now is not forgotten, and what is fresh goes on", "[send]") {
  Recovering r(FastSettings(), {3});
  r.f.disk->HideRecords(true);
  r.f.exporter->Start();
  r.f.Push(2);
  REQUIRE(r.f.WaitForNothingInFlight());
  CHECK(r.f.ledger.Snapshot().spooled == 3);
  r.f.exporter->Stop();
  r.f.CheckLedger(2, {}, 3);
}

TEST_CASE("spool: its messages come a few at once, then slowly, and say what is left out", "[send]") {
  LineLimiter limiter;
  uint64_t now_ns = 100'000'000'000;
  size_t passed = 0;
  for (int i = 0; i < 1000; ++i) passed += limiter.Pass(now_ns, "line").empty() ? 0 : 1;
  CHECK(passed == 6);
  CHECK(limiter.Pass(now_ns + 9'000'000'000, "line").empty());
  CHECK(limiter.Pass(now_ns + 10'000'000'000, "line") == "line left_out=995");
  CHECK(limiter.Pass(now_ns + 20'000'000'000, "line") == "line");
}

TEST_CASE("spool: a folder that cannot be had is said once, and done without", "[send]") {
  Ledger ledger;
  std::vector<std::string> lines;
  auto wire = std::make_shared<FakeWire>();
  ExporterParts parts;
  parts.transports = [wire]() -> absl::StatusOr<std::vector<std::unique_ptr<Transport>>> {
    std::vector<std::unique_ptr<Transport>> transports;
    transports.push_back(std::make_unique<FakeTransport>(wire));
    return transports;
  };
  parts.spool = [](Spool::LossFn, Spool::LogFn) -> absl::StatusOr<std::unique_ptr<Spool>> {
    return absl::PermissionDeniedError("/var/spool/x: permission denied");
  };
  auto exporter =
      MakeExporter(FastSettings(), parts, ledger, [&](absl::string_view line) { lines.emplace_back(line); });
  REQUIRE(exporter.ok());
  (*exporter)->Start();
  (*exporter)->queue().PushAll(MakeSpans(3));
  (*exporter)->Stop();
  CHECK(ledger.Snapshot().acknowledged == 3);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] ==
        "spool state=off action=\"spans are kept in memory only\" cause=\"/var/spool/x: permission denied\"");
}

TEST_CASE("spool: a batch that fails while others pass is given up in the end", "[send]") {
  ExporterSettings settings = SmallBatches(1);
  settings.retry.initial = settings.retry.max = absl::Milliseconds(2);
  Recovering r(settings, {7, 5});
  r.f.wire().AnswerBy(
      [](absl::string_view request) { return Step(CountSpans(request) == 7 ? Kind::kRetry : Kind::kAcknowledged); });
  r.f.exporter->Start();
  const uint64_t fresh = r.PushUntilNothingIsSpooled();
  REQUIRE(r.f.WaitForNothingInFlight());
  r.f.exporter->Stop();
  r.f.CheckLedger(5 + fresh, {{DropReason::kRetriesExhausted, 7}});
}

}  // namespace
}  // namespace spantap
