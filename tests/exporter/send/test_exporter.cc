// SPDX-License-Identifier: Apache-2.0
//
// The exporter over one scripted collector: batches, answers, retries. After each case the ledger balances to the
// span.
#include <set>

#include "tests/exporter/send/exporter_fixture.h"

namespace spantap {
namespace {

TEST_CASE("exporter: everything is delivered once, in batches of the asked size", "[send]") {
  ExporterFixture f(SmallBatches(100));
  f.Push(1050);
  f.exporter->Start();
  f.exporter->Stop();
  f.CheckLedger(1050);
  uint64_t total = 0;
  for (const FakeWire::Call& call : f.wire().calls()) {
    CHECK(SpansIn(call.body) <= 100);
    total += SpansIn(call.body);
  }
  CHECK(total == 1050);
  CHECK(f.wire().calls().size() == 11);
  CHECK(f.Log().empty());
}

TEST_CASE("exporter: the first span of a quiet node leaves at once, the next ones gather", "[send]") {
  ExporterSettings settings = FastSettings();
  settings.batch.max_delay = absl::Milliseconds(200);
  ExporterFixture f(settings);
  f.exporter->Start();
  absl::SleepFor(absl::Milliseconds(10));
  CHECK(f.wire().calls().empty());
  f.Push(1);
  REQUIRE(f.wire().WaitForCalls(1, absl::Milliseconds(150)));
  const uint64_t pushed_ns = MonoNs();
  f.Push(1);
  f.Push(1);
  REQUIRE(f.wire().WaitForCalls(2));
  CHECK(MonoNs() - pushed_ns >= 150'000'000);
  CHECK(SpansIn(f.wire().calls()[1].body) == 2);
  f.exporter->Stop();
  f.CheckLedger(3);
}

TEST_CASE("exporter: a full batch leaves at once", "[send]") {
  ExporterSettings settings = SmallBatches(10);
  settings.batch.max_delay = absl::Hours(1);
  ExporterFixture f(settings);
  f.exporter->Start();
  f.Push(1);
  REQUIRE(f.wire().WaitForCalls(1));
  f.Push(10);
  CHECK(f.wire().WaitForCalls(2));
  f.exporter->Stop();
  f.CheckLedger(11);
}

TEST_CASE("exporter: no request is larger than the limit; one span that is, is dropped", "[send]") {
  ExporterSettings settings = FastSettings();
  settings.batch.max_bytes = 2000;
  ExporterFixture f(settings);
  f.Push(100, 150);
  f.Push(1, 3000);
  f.Push(1, 150);
  f.exporter->Start();
  f.exporter->Stop();
  f.CheckLedger(101, {{DropReason::kTooLarge, 1}});
  for (const FakeWire::Call& call : f.wire().calls()) CHECK(call.body.size() <= 2000);
}

TEST_CASE("exporter: resources that swell the encoding over the limit split the batch", "[send]") {
  ExporterSettings settings = FastSettings();
  settings.batch.max_bytes = 4000;
  ExporterFixture f(settings);
  std::vector<Span> spans(24);
  for (Span& span : spans) {
    auto resource = std::make_shared<Resource>();
    resource->attributes.AddString("k", std::string(1000, 'r'));
    span.resource = resource;
  }
  f.exporter->queue().PushAll(std::move(spans));
  f.exporter->Start();
  f.exporter->Stop();
  f.CheckLedger(24);
  for (const FakeWire::Call& call : f.wire().calls()) CHECK(call.body.size() <= 4000);
}

TEST_CASE("exporter: each outcome is counted once and under its reason", "[send]") {
  struct Row {
    int line;
    FakeStep step;
    uint64_t acknowledged;
    ExporterFixture::Drops dropped;
  };
  const Row rows[] = {
      {__LINE__, Step(Kind::kAcknowledged), 8, {}},
      {__LINE__, Step(Kind::kAcknowledged, 3), 5, {{DropReason::kRejected, 3}}},
      {__LINE__, Step(Kind::kAcknowledged, 8), 0, {{DropReason::kRejected, 8}}},
      {__LINE__, Step(Kind::kAcknowledged, 1'000'000), 0, {{DropReason::kRejected, 8}}},
      {__LINE__, Http(Kind::kDropHttp, 401), 0, {{DropReason::kHttpStatus, 8}}},
      {__LINE__, Grpc(Kind::kDropGrpc, 3), 0, {{DropReason::kGrpcStatus, 8}}},
      {__LINE__, Step(Kind::kDropResponse), 0, {{DropReason::kBadResponse, 8}}},
      {__LINE__, Http(Kind::kTooLarge, 413), 0, {{DropReason::kHttpStatus, 8}}},  // small: not a matter of size
      {__LINE__, Grpc(Kind::kTooLarge, 8), 0, {{DropReason::kGrpcStatus, 8}}},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    ExporterFixture f(FastSettings());
    f.wire().Script({row.step});
    f.Push(8);
    f.exporter->Start();
    f.exporter->Stop();
    f.CheckLedger(row.acknowledged, row.dropped);
    CHECK(f.wire().calls().size() == 1);  // none of these is sent again
  }
}

TEST_CASE("exporter: a retry sends the same bytes until they are acknowledged", "[send]") {
  ExporterFixture f(FastSettings());
  f.wire().Script({Step(Kind::kRetry), Step(Kind::kRetry), Step(Kind::kRetry), Step(Kind::kAcknowledged)});
  f.Push(5);
  f.exporter->Start();
  REQUIRE(f.wire().WaitForCalls(4));
  f.exporter->Stop();
  f.CheckLedger(5);
  const auto calls = f.wire().calls();
  REQUIRE(calls.size() == 4);
  for (const FakeWire::Call& call : calls) CHECK(call.body == calls[0].body);
}

TEST_CASE("exporter: a batch is given up after its time, the next ones wait for the same backoff", "[send]") {
  ExporterSettings settings = SmallBatches(4);
  settings.retry.give_up = absl::Milliseconds(60);
  settings.drain = absl::ZeroDuration();
  ExporterFixture f(settings);
  f.wire().Script({Step(Kind::kRetry)});
  f.Push(12);
  f.exporter->Start();
  REQUIRE(f.WaitForNothingInFlight());
  f.exporter->Stop();
  f.CheckLedger(0, {{DropReason::kRetriesExhausted, 12}});
  const auto calls = f.wire().calls();
  for (size_t i = 6; i < calls.size(); ++i) CHECK(calls[i].at_ns - calls[i - 1].at_ns >= 20'000'000);
  CHECK(f.Log().find("gave up") != std::string::npos);
}

TEST_CASE("exporter: while the collector is down memory fills, then drops; what is kept arrives", "[send]") {
  ExporterSettings settings = SmallBatches(10);
  settings.queue.max_spans = 20;
  ExporterFixture f(settings);
  f.wire().Script({Step(Kind::kRetry)});
  f.exporter->Start();
  for (int i = 0; i < 100; ++i) {  // one batch in the sender, eight in the inbox, one in the batcher, two queued
    f.Push(5);
    absl::SleepFor(absl::Milliseconds(1));
  }
  REQUIRE(f.wire().WaitForCalls(2));
  const LedgerSnapshot full = f.ledger.Snapshot();
  CHECK(full.in_flight() <= 120);
  CHECK(full.in_flight() + full.dropped[static_cast<size_t>(DropReason::kQueueFull)] == 500);
  f.wire().Script({Step(Kind::kAcknowledged)});
  f.exporter->Stop();
  f.CheckLedger(full.in_flight(), {{DropReason::kQueueFull, 500 - full.in_flight()}});
}

TEST_CASE("exporter: span limits are applied before the encoding", "[send]") {
  ExporterSettings settings = FastSettings();
  settings.limits.attributes = 1;
  ExporterFixture f(settings);
  std::vector<Span> spans = MakeSpans(1);
  spans[0].attributes.AddString("first", "1");
  spans[0].attributes.AddString("second", "2");
  f.exporter->queue().PushAll(std::move(spans));
  f.exporter->Start();
  f.exporter->Stop();
  f.CheckLedger(1);
  CHECK(f.wire().calls()[0].body.find("first") != std::string::npos);
  CHECK(f.wire().calls()[0].body.find("second") == std::string::npos);
}

TEST_CASE("exporter: what a person sees of it", "[send]") {
  ExporterFixture f(FastSettings(), {.endpoints = 2});
  CHECK(f.exporter->status().endpoints[0].state == "untried");
  f.wire(0).Script({Step(Kind::kRetry)});
  f.exporter->Start();
  f.Push(3);
  REQUIRE(f.WaitForNothingInFlight());
  const ExporterStatus status = f.exporter->status();
  REQUIRE(status.endpoints.size() == 2);
  CHECK(status.endpoints[0].name == "fake://0");
  CHECK(status.endpoints[0].state == "down");
  CHECK(status.endpoints[0].cause == "scripted");
  CHECK(status.endpoints[0].failures == 1);
  CHECK(status.endpoints[1].state == "up");
  CHECK(status.endpoints[1].requests == 1);
  CHECK(status.endpoints[1].failures == 0);
  CHECK(status.request_bytes == f.wire(1).calls()[0].body.size());
  CHECK(status.queued_spans == 0);
  CHECK_FALSE(status.spool.has_value());
  f.exporter->Stop();
}

TEST_CASE("exporter: settings that cannot work are refused", "[send]") {
  const std::function<void(ExporterSettings&)> spoil[] = {
      [](ExporterSettings& s) { s.queue.max_spans = 0; },
      [](ExporterSettings& s) { s.queue.max_bytes = 0; },
      [](ExporterSettings& s) { s.batch.target_spans = 0; },
      [](ExporterSettings& s) { s.batch.max_spans = s.batch.target_spans - 1; },
      [](ExporterSettings& s) { s.batch.max_bytes = 0; },
      [](ExporterSettings& s) { s.batch.max_bytes = 65 << 20; },
      [](ExporterSettings& s) { s.batch.max_delay = absl::Seconds(-1); },
      [](ExporterSettings& s) { s.request_timeout = absl::ZeroDuration(); },
      [](ExporterSettings& s) { s.retry.initial = absl::ZeroDuration(); },
      [](ExporterSettings& s) { s.retry.max = s.retry.initial / 2; },
      [](ExporterSettings& s) { s.drain = absl::Seconds(-1); },
      [](ExporterSettings&) {},  // no endpoint
  };
  for (size_t i = 0; i < std::size(spoil); ++i) {
    INFO("row " << i);
    ExporterSettings settings;
    spoil[i](settings);
    Ledger ledger;
    const auto made = Exporter::Create(settings, ledger, [](absl::string_view) {});
    CHECK(made.status().code() == absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace spantap
