// SPDX-License-Identifier: Apache-2.0
//
// Several endpoints in order, and collectors that find a batch too large.
#include "tests/exporter/send/exporter_fixture.h"

namespace spantap {
namespace {

// Takes up to `limit` bytes.
FakeWire::Answer UpTo(size_t limit, FakeStep refusal) {
  return [limit, refusal](absl::string_view request) {
    return request.size() <= limit ? Step(Kind::kAcknowledged) : refusal;
  };
}

size_t Refused(const std::vector<FakeWire::Call>& calls, size_t limit) {
  size_t n = 0;
  for (const FakeWire::Call& call : calls) n += call.body.size() > limit ? 1 : 0;
  return n;
}

TEST_CASE("fail-over: the same batch goes to the next endpoint at once", "[send]") {
  ExporterSettings settings = FastSettings();
  settings.retry.initial = settings.retry.max = absl::Hours(1);
  ExporterFixture f(settings, {.endpoints = 3});
  f.wire(0).Script({Step(Kind::kRetry)});
  f.wire(1).Script({RetryAfter(absl::Hours(1))});
  f.exporter->Start();
  f.Push(5);
  REQUIRE(f.WaitForNothingInFlight());
  f.Push(6);  // straight to the one that works
  REQUIRE(f.WaitForNothingInFlight());
  f.exporter->Stop();
  f.CheckLedger(11);
  CHECK(f.wire(0).calls().size() == 1);
  CHECK(f.wire(1).calls().size() == 1);
  REQUIRE(f.wire(2).calls().size() == 2);
  CHECK(f.wire(2).calls()[0].body == f.wire(0).calls()[0].body);
  CHECK(f.Log().find("state=down endpoint=fake://0") != std::string::npos);
  CHECK(f.Log().find("state=down endpoint=fake://1") != std::string::npos);
}

TEST_CASE("fail-over: the preferred one is asked again when its backoff ends, shortly, and keeps the traffic",
          "[send]") {
  ExporterSettings settings = SmallBatches(1);
  settings.request_timeout = absl::Seconds(30);
  settings.retry.initial = settings.retry.max = absl::Milliseconds(20);
  ExporterFixture f(settings, {.endpoints = 2});
  f.wire(0).Script({Step(Kind::kRetry), Step(Kind::kRetry), Step(Kind::kAcknowledged)});
  f.exporter->Start();
  uint64_t pushed = 0;
  REQUIRE(f.WaitUntil([&] {
    f.Push(1);
    ++pushed;
    return f.wire(0).calls().size() >= 6;
  }));
  f.exporter->Stop();
  f.CheckLedger(pushed);
  const auto first = f.wire(0).calls();
  CHECK(first[0].timeout == absl::Seconds(30));
  CHECK(first[1].timeout == absl::Seconds(1));  // a probe, while the other one works
  CHECK(first[2].timeout == absl::Seconds(1));
  CHECK(first[3].timeout == absl::Seconds(30));
  CHECK(first[1].at_ns - first[0].at_ns >= 10'000'000);
  CHECK(f.wire(1).calls().back().at_ns < first[3].at_ns);
}

TEST_CASE("fail-over: a refusal is final, another endpoint does not get it", "[send]") {
  ExporterFixture f(FastSettings(), {.endpoints = 2});
  f.wire(0).Script({Http(Kind::kDropHttp, 400)});
  f.Push(5);
  f.exporter->Start();
  f.exporter->Stop();
  f.CheckLedger(0, {{DropReason::kHttpStatus, 5}});
  CHECK(f.wire(1).calls().empty());
}

TEST_CASE("fail-over: while all are down there is one request at a time, each at its own pace", "[send]") {
  ExporterSettings settings = SmallBatches(2);
  settings.retry.initial = settings.retry.max = absl::Milliseconds(40);
  settings.drain = absl::ZeroDuration();
  ExporterFixture f(settings, {.endpoints = 2});
  for (size_t i = 0; i < 2; ++i) f.wire(i).Script({Step(Kind::kRetry)});
  f.exporter->Start();
  for (int i = 0; i < 50; ++i) f.Push(2);
  for (size_t i = 0; i < 2; ++i) {
    REQUIRE(f.wire(i).WaitForCalls(4));
    const auto calls = f.wire(i).calls();
    for (size_t c = 1; c < calls.size(); ++c) {
      CHECK(calls[c].at_ns - calls[c - 1].at_ns >= 20'000'000);
      CHECK(calls[c].body == calls[0].body);
    }
  }
  f.exporter->Stop();
  CHECK(f.ledger.Snapshot().in_flight() == 0);
}

TEST_CASE("split: a batch over the collector's limit arrives in pieces, later ones are cut before", "[send]") {
  constexpr size_t kLimit = 100'000;
  ExporterSettings settings = SmallBatches(2000);
  ExporterFixture f(settings);
  f.wire().AnswerBy(UpTo(kLimit, Http(Kind::kTooLarge, 413)));
  f.exporter->Start();
  f.Push(2000, 300);
  REQUIRE(f.WaitForNothingInFlight());
  const size_t first_refused = Refused(f.wire().calls(), kLimit);
  CHECK(first_refused >= 1);
  CHECK(first_refused <= 4);
  f.Push(2000, 300);
  REQUIRE(f.WaitForNothingInFlight());
  CHECK(Refused(f.wire().calls(), kLimit) == first_refused);
  f.exporter->Stop();
  f.CheckLedger(4000);
  uint64_t taken = 0;
  for (const FakeWire::Call& call : f.wire().calls()) taken += call.body.size() <= kLimit ? SpansIn(call.body) : 0;
  CHECK(taken == 4000);
  CHECK(f.Log().find("batches are split") != std::string::npos);
}

TEST_CASE("split: one span over the collector's limit is dropped, its neighbours are not", "[send]") {
  constexpr size_t kLimit = 60'000;
  ExporterFixture f(SmallBatches(101));
  f.wire().AnswerBy(UpTo(kLimit, Http(Kind::kTooLarge, 413)));
  std::vector<Span> spans = MakeSpans(101, 500);
  spans[40].name = std::string(80'000, 'n');
  f.exporter->queue().PushAll(std::move(spans));
  f.exporter->Start();
  f.exporter->Stop();
  f.CheckLedger(100, {{DropReason::kTooLarge, 1}});
}

TEST_CASE("split: a collector that refuses every size gets few requests", "[send]") {
  struct Row {
    int line;
    FakeStep step;
    DropReason reason;
  };
  const Row rows[] = {
      {__LINE__, Http(Kind::kTooLarge, 413), DropReason::kHttpStatus},
      {__LINE__, Grpc(Kind::kTooLarge, 8), DropReason::kGrpcStatus},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    ExporterFixture f(SmallBatches(3600));
    f.wire().Script({row.step});
    f.Push(3600, 800);
    f.exporter->Start();
    f.exporter->Stop();
    f.CheckLedger(0, {{row.reason, 3600}});
    CHECK(f.wire().calls().size() >= 8);
    CHECK(f.wire().calls().size() <= 10);
  }
}

TEST_CASE("split: a quota that comes back leaves no trace", "[send]") {
  ExporterSettings settings = SmallBatches(1000);
  ExporterFixture f(settings);
  f.wire().Script({Grpc(Kind::kTooLarge, 8)});
  f.exporter->Start();
  f.Push(1000, 300);
  REQUIRE(f.WaitForNothingInFlight());
  f.wire().Script({Step(Kind::kAcknowledged)});
  const size_t before = f.wire().calls().size();
  f.Push(1000, 300);
  REQUIRE(f.WaitForNothingInFlight());
  CHECK(f.wire().calls().size() == before + 1);  // whole
  f.exporter->Stop();
  f.CheckLedger(1000, {{DropReason::kGrpcStatus, 1000}});
}

TEST_CASE("split: what one endpoint finds too large, another may take whole", "[send]") {
  ExporterSettings settings = SmallBatches(1000);
  settings.retry.initial = settings.retry.max = absl::Hours(1);
  ExporterFixture f(settings, {.endpoints = 2});
  f.wire(0).Script({Http(Kind::kTooLarge, 413), Step(Kind::kAcknowledged), Step(Kind::kRetry)});
  f.exporter->Start();
  f.Push(1000, 300);
  REQUIRE(f.WaitForNothingInFlight());
  f.Push(1000, 300);
  REQUIRE(f.WaitForNothingInFlight());
  f.exporter->Stop();
  f.CheckLedger(2000);
  const auto second = f.wire(1).calls();
  REQUIRE(second.size() == 2);
  CHECK(SpansIn(second[0].body) == 500);  // the half that the first one did not get
  CHECK(SpansIn(second[1].body) == 1000);
}

}  // namespace
}  // namespace spantap
