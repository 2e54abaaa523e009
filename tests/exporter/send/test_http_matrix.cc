// SPDX-License-Identifier: Apache-2.0
//
// The export behaviour matrix (HTTP part) from end to end: queue, batcher, sender, transport, a socket. Each row says
// how the collector answers and what the ledger must then say, to the span.
#include <catch2/catch.hpp>
#include <set>

#include "exporter/send/exporter.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "tests/fakes/fake_collector.h"

namespace spantap {
namespace {

constexpr uint64_t kSpans = 9;
using Fake = FakeCollector;

Fake::Action Partial(int64_t rejected, const std::string& message) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse response;
  response.mutable_partial_success()->set_rejected_spans(rejected);
  response.mutable_partial_success()->set_error_message(message);
  return Fake::Answer(200, "Content-Type: application/x-protobuf\r\n", response.SerializeAsString());
}

struct Run {
  LedgerSnapshot ledger;
  std::vector<CollectorRequest> requests;
  uint64_t stop_ns = 0;  // how long Stop() took
  std::set<std::string> span_ids;
};

ExporterSettings SettingsFor(const std::string& url) {
  TransportSettings endpoint;
  endpoint.endpoint = ParseEndpoint(url, Protocol::kHttpProtobuf, EndpointForm::kBase).value();
  ExporterSettings settings;
  settings.endpoints = {endpoint};
  settings.batch.max_delay = settings.retry.initial = absl::Milliseconds(5);
  settings.request_timeout = absl::Milliseconds(300);
  return settings;
}

// Pushes kSpans, waits until they are settled or `wait` has passed, stops.
Run Export(std::vector<Fake::Action> script, absl::Duration wait = absl::Seconds(20),
           absl::Duration drain = absl::Seconds(10), size_t name_bytes = 0) {
  Fake collector(std::move(script));
  ExporterSettings settings = SettingsFor(collector.url());
  settings.drain = drain;
  Ledger ledger;
  const auto exporter = Exporter::Create(settings, ledger, [](absl::string_view) {}).value();
  SeededIds ids(1);
  std::vector<Span> spans(kSpans);
  for (Span& span : spans) {
    span.trace_id = ids.NewTraceId();
    span.span_id = ids.NewSpanId();
    span.name.assign(name_bytes, 'n');
  }
  exporter->queue().PushAll(std::move(spans));
  exporter->Start();
  const uint64_t start_ns = MonoNs();
  while (ledger.Snapshot().in_flight() > 0 && absl::Nanoseconds(MonoNs() - start_ns) < wait) {
    absl::SleepFor(absl::Milliseconds(2));
  }
  Run run;
  const uint64_t stop_ns = MonoNs();
  exporter->Stop();
  run.stop_ns = MonoNs() - stop_ns;
  run.ledger = ledger.Snapshot();
  run.requests = collector.requests();
  for (const CollectorRequest& request : run.requests) {
    opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest message;
    REQUIRE(message.ParseFromString(request.body));
    for (const auto& span : message.resource_spans(0).scope_spans(0).spans()) run.span_ids.insert(span.span_id());
  }
  return run;
}

void CheckLedger(const Run& run, uint64_t acknowledged, DropReason reason, uint64_t dropped) {
  INFO(run.ledger.Format());
  CHECK(run.ledger.created == kSpans);
  CHECK(run.ledger.acknowledged == acknowledged);
  CHECK(run.ledger.dropped[static_cast<size_t>(reason)] == dropped);
  CHECK(run.ledger.total_dropped() == dropped);
  CHECK(run.ledger.in_flight() == 0);
  CHECK(run.span_ids.size() == kSpans);
}

TEST_CASE("matrix: answers that settle a batch at once", "[send]") {
  struct Row {
    int line;
    Fake::Action action;
    uint64_t acknowledged;
    DropReason reason;
  };
  std::vector<Row> rows = {
      {__LINE__, Fake::Answer(200), kSpans, DropReason::kRejected},
      {__LINE__, Fake::Answer(202), kSpans, DropReason::kRejected},
      {__LINE__, Partial(0, "a warning"), kSpans, DropReason::kRejected},
      {__LINE__, Partial(3, "no"), kSpans - 3, DropReason::kRejected},
      {__LINE__, Partial(1 << 30, "no"), 0, DropReason::kRejected},
      {__LINE__, Partial(-3, "?"), kSpans, DropReason::kRejected},
      {__LINE__, Fake::Answer(200, "", "<html>hello</html>"), 0, DropReason::kBadResponse},
      {__LINE__, Fake::Raw("garbage\r\n", false), 0, DropReason::kBadResponse},
      {__LINE__, Fake::Endless("HTTP/1.1 200 OK\r\n\r\n", std::string(1 << 16, 'x')), 0, DropReason::kBadResponse},
      {__LINE__, Fake::Endless("HTTP/1.1 200 OK\r\n", "A: " + std::string(1000, 'x') + "\r\n"), 0,
       DropReason::kBadResponse},
  };
  for (const int status : {300, 301, 302, 307, 308, 400, 401, 403, 404, 405, 406, 408, 415, 431, 500, 501, 505, 599}) {
    rows.push_back({status, Fake::Answer(status, "Location: /elsewhere\r\nRetry-After: 1\r\n", "why"), 0,
                    DropReason::kHttpStatus});
  }
  for (const Row& row : rows) {
    INFO("row " << row.line);
    const Run run = Export({row.action});
    CheckLedger(run, row.acknowledged, row.reason, kSpans - row.acknowledged);
    CHECK(run.requests.size() == 1);
  }
}

TEST_CASE("matrix: failures that are retried until the collector takes the batch", "[send]") {
  struct Row {
    int line;
    Fake::Action action;
  };
  const Row rows[] = {
      {__LINE__, Fake::Answer(429)},
      {__LINE__, Fake::Answer(502, "", "<html>bad gateway</html>")},
      {__LINE__, Fake::Answer(503)},
      {__LINE__, Fake::Answer(504)},
      {__LINE__, Fake::Answer(503, "Retry-After: garbage\r\n")},
      {__LINE__, Fake::Answer(429, "Retry-After: 0\r\n")},
      {__LINE__, Fake::Close()},
      {__LINE__, Fake::Raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nxx", false)},
      {__LINE__, Fake::Endless("HTTP/1.1 503 Busy\r\n\r\n", std::string(1 << 16, 'x'))},
      {__LINE__, Fake::Stall("")},
      {__LINE__, Fake::Stall("HTTP/1.1 200 OK\r\n")},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    const Run run = Export({row.action, row.action, Fake::Answer(200)});
    CheckLedger(run, kSpans, DropReason::kRejected, 0);
    REQUIRE(run.requests.size() == 3);
    CHECK(run.requests[1].body == run.requests[0].body);
    CHECK(run.requests[2].body == run.requests[0].body);
  }
}

TEST_CASE("matrix: what is too large is sent in halves, as long as that makes sense", "[send]") {
  constexpr size_t kNameBytes = 4000;
  const auto large = [](const Fake::Action& first, const Fake::Action& then) {
    return Export({first, then}, absl::Seconds(20), absl::Seconds(10), kNameBytes);
  };
  const Run halves = large(Fake::Answer(413), Fake::Answer(200));
  CheckLedger(halves, kSpans, DropReason::kTooLarge, 0);
  CHECK(halves.requests.size() == 3);
  const Run never = large(Fake::Answer(413), Fake::Answer(413));
  CheckLedger(never, 0, DropReason::kHttpStatus, kSpans);
  CHECK(never.requests.size() <= 5);
  const Run small = Export({Fake::Answer(413)});
  CheckLedger(small, 0, DropReason::kHttpStatus, kSpans);
  CHECK(small.requests.size() == 1);
}

TEST_CASE("matrix: Retry-After in seconds and as a date is waited for", "[send]") {
  const Run seconds = Export({Fake::Answer(429, "Retry-After: 2\r\n"), Fake::Answer(200)});
  CheckLedger(seconds, kSpans, DropReason::kRejected, 0);
  REQUIRE(seconds.requests.size() == 2);
  CHECK(seconds.requests[1].at_ns - seconds.requests[0].at_ns >= 2'000'000'000);

  const absl::Time until = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now())) + absl::Seconds(2);
  const Run date = Export(
      {Fake::Answer(503, absl::FormatTime("Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", until, absl::UTCTimeZone())),
       Fake::Answer(200)});
  CHECK(absl::Now() >= until);
  CheckLedger(date, kSpans, DropReason::kRejected, 0);
  CHECK(date.requests.size() == 2);
}

TEST_CASE("matrix: a collector that does not answer is not waited for beyond the drain", "[send]") {
  for (const Fake::Action& action : {Fake::Stall(""), Fake::Stall("HTTP/1.1 200 OK\r\n"), Fake::Answer(503),
                                     Fake::Answer(429, "Retry-After: 3600\r\n"), Fake::Close()}) {
    const Run run = Export({action}, absl::Milliseconds(50), absl::Milliseconds(200));
    CheckLedger(run, 0, DropReason::kShutdown, kSpans);
    CHECK(run.stop_ns < 3'000'000'000);
  }
}

TEST_CASE("matrix: an answer that comes during the drain still counts", "[send]") {
  const Fake::Action late = [](int fd, const std::atomic<bool>& stop) {
    absl::SleepFor(absl::Milliseconds(150));
    return Fake::Answer(200)(fd, stop);
  };
  const Run run = Export({late}, absl::Milliseconds(30), absl::Seconds(10));
  CheckLedger(run, kSpans, DropReason::kRejected, 0);
  CHECK(run.requests.size() == 1);
}

TEST_CASE("matrix: nobody listens: kept, retried, and dropped at the end only", "[send]") {
  std::string url;
  {
    Fake gone;
    url = gone.url();
  }
  ExporterSettings settings = SettingsFor(url);
  settings.retry.max = absl::Milliseconds(5);
  settings.drain = absl::Milliseconds(100);
  Ledger ledger;
  absl::Mutex mutex;
  std::vector<std::string> lines;
  const auto exporter = Exporter::Create(settings, ledger, [&](absl::string_view line) {
                          absl::MutexLock lock(&mutex);
                          lines.emplace_back(line);
                        }).value();
  exporter->Start();
  exporter->queue().PushAll(std::vector<Span>(4));
  absl::SleepFor(absl::Milliseconds(50));
  CHECK(ledger.Snapshot().in_flight() == 4);
  exporter->Stop();
  CHECK(ledger.Snapshot().Format() == "created=4 acknowledged=0 in_flight=0 spooled=0 dropped=4 dropped.shutdown=4");
  REQUIRE(lines.size() == 1);
  INFO(lines[0]);
  CHECK(absl::StrContains(lines[0], "state=down"));
  CHECK(absl::StrContains(lines[0], url + "/v1/traces"));
  CHECK(absl::StrContains(lines[0], "refused"));
}

}  // namespace
}  // namespace spantap
