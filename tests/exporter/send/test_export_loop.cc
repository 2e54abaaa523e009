// SPDX-License-Identifier: Apache-2.0
//
// The export loop over a scripted transport: batches, retries, backoff, the drain. After each case the
// ledger balances to the span.
#include <signal.h>

#include <catch2/catch.hpp>
#include <set>

#include "exporter/send/export_loop.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "tests/fakes/fake_transport.h"

namespace spantap {
namespace {

using Kind = SendResult::Kind;

FakeStep Step(Kind kind, uint64_t rejected = 0) {
  FakeStep step;
  step.result.kind = kind;
  step.result.rejected = rejected;
  if (kind != Kind::kAcknowledged) step.result.message = "scripted";
  return step;
}
FakeStep RetryAfter(absl::Duration wait) {
  FakeStep step = Step(Kind::kRetry);
  step.result.retry_after = wait;
  return step;
}
FakeStep Slow(absl::Duration takes) {
  FakeStep step = Step(Kind::kAcknowledged);
  step.takes = takes;
  return step;
}

size_t SpansIn(const std::string& body) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest request;
  REQUIRE(request.ParseFromString(body));
  size_t spans = 0;
  for (const auto& group : request.resource_spans()) {
    for (const auto& scope : group.scope_spans()) spans += static_cast<size_t>(scope.spans_size());
  }
  return spans;
}

// Fast enough for a test, slow enough to order things by.
ExportLoop::Settings FastSettings() {
  ExportLoop::Settings settings;
  settings.max_delay = absl::Milliseconds(5);
  settings.retry_initial = absl::Milliseconds(10);
  settings.retry_max = absl::Milliseconds(50);
  settings.drain = absl::Seconds(20);
  return settings;
}

class Fixture {
 public:
  explicit Fixture(const ExportLoop::Settings& settings = FastSettings(), const SpanQueue::Limits& limits = {})
      : queue(limits, ledger),
        loop(settings, queue, ledger, std::make_unique<FakeTransport>(wire), [this](absl::string_view line) {
          absl::MutexLock lock(&mutex);
          lines.emplace_back(line);
        }) {}

  void Push(int n, size_t name_bytes = 4) {
    std::vector<Span> spans(static_cast<size_t>(n));
    for (Span& span : spans) span.name = std::string(name_bytes, 'n');
    queue.PushAll(std::move(spans));
  }
  void CheckLedger(uint64_t acknowledged, std::vector<std::pair<DropReason, uint64_t>> dropped = {}) {
    LedgerSnapshot expected = ledger.Snapshot();
    expected.acknowledged = acknowledged;
    expected.dropped = {};
    for (const auto& [reason, n] : dropped) expected.dropped[static_cast<size_t>(reason)] = n;
    CHECK(ledger.Snapshot().Format() == expected.Format());
    CHECK(ledger.Snapshot().in_flight() == 0);
  }
  std::string Log() {
    absl::MutexLock lock(&mutex);
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
  }

  Ledger ledger;
  std::shared_ptr<FakeWire> wire = std::make_shared<FakeWire>();
  absl::Mutex mutex;
  std::vector<std::string> lines;
  SpanQueue queue;
  ExportLoop loop;
};

TEST_CASE("loop: everything is delivered once, in batches of the asked size", "[send]") {
  ExportLoop::Settings settings = FastSettings();
  settings.max_batch_spans = 100;
  Fixture f(settings);
  f.Push(1050);
  f.loop.Start();
  f.loop.Stop();
  f.CheckLedger(1050);
  size_t total = 0;
  for (const FakeWire::Call& call : f.wire->calls()) {
    CHECK(SpansIn(call.body) <= 100);
    total += SpansIn(call.body);
  }
  CHECK(total == 1050);
  CHECK(f.wire->calls().size() == 11);
  CHECK(f.Log().empty());
}

TEST_CASE("loop: a lone span leaves after max_delay, nothing is sent without spans", "[send]") {
  ExportLoop::Settings settings = FastSettings();
  settings.max_delay = absl::Milliseconds(100);
  Fixture f(settings);
  f.loop.Start();
  absl::SleepFor(absl::Milliseconds(250));
  CHECK(f.wire->calls().empty());
  const uint64_t start_ns = MonoNs();
  f.Push(1);
  REQUIRE(f.wire->WaitForCalls(1));
  CHECK(MonoNs() - start_ns < 2'000'000'000);
  f.loop.Stop();
  f.CheckLedger(1);
  CHECK(f.wire->calls().size() == 1);
}

TEST_CASE("loop: a full batch leaves at once", "[send]") {
  ExportLoop::Settings settings = FastSettings();
  settings.max_delay = absl::Hours(1);
  settings.max_batch_spans = 10;
  Fixture f(settings);
  f.loop.Start();
  f.Push(10);
  CHECK(f.wire->WaitForCalls(1));
  f.loop.Stop();
  f.CheckLedger(10);
}

TEST_CASE("loop: no request is larger than the limit; one span that is, is dropped", "[send]") {
  ExportLoop::Settings settings = FastSettings();
  settings.max_batch_bytes = 2000;
  Fixture f(settings);
  f.Push(100, 150);
  f.Push(1, 3000);
  f.Push(1, 150);
  f.loop.Start();
  f.loop.Stop();
  f.CheckLedger(101, {{DropReason::kTooLarge, 1}});
  for (const FakeWire::Call& call : f.wire->calls()) CHECK(call.body.size() <= 2000);
}

TEST_CASE("loop: resources that swell the encoding over the limit split the batch", "[send]") {
  ExportLoop::Settings settings = FastSettings();
  settings.max_batch_bytes = 4000;
  Fixture f(settings);
  std::vector<Span> spans(24);
  for (Span& span : spans) {
    auto resource = std::make_shared<Resource>();
    resource->attributes.AddString("k", std::string(1000, 'r'));
    span.resource = resource;
  }
  f.queue.PushAll(std::move(spans));
  f.loop.Start();
  f.loop.Stop();
  f.CheckLedger(24);
  for (const FakeWire::Call& call : f.wire->calls()) CHECK(call.body.size() <= 4000);
}

TEST_CASE("loop: each outcome is counted once and under its reason", "[send]") {
  struct Row {
    int line;
    FakeStep step;
    uint64_t acknowledged;
    std::vector<std::pair<DropReason, uint64_t>> dropped;
  };
  const Row rows[] = {
      {__LINE__, Step(Kind::kAcknowledged), 8, {}},
      {__LINE__, Step(Kind::kAcknowledged, 3), 5, {{DropReason::kRejected, 3}}},
      {__LINE__, Step(Kind::kAcknowledged, 8), 0, {{DropReason::kRejected, 8}}},
      {__LINE__, Step(Kind::kAcknowledged, 1'000'000), 0, {{DropReason::kRejected, 8}}},
      {__LINE__, Step(Kind::kDropHttp), 0, {{DropReason::kHttpStatus, 8}}},
      {__LINE__, Step(Kind::kDropResponse), 0, {{DropReason::kBadResponse, 8}}},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    Fixture f;
    f.wire->Script({row.step});
    f.Push(8);
    f.loop.Start();
    f.loop.Stop();
    f.CheckLedger(row.acknowledged, row.dropped);
    CHECK(f.wire->calls().size() == 1);  // none of these is sent again
  }
}

TEST_CASE("loop: a retry sends the same bytes until they are acknowledged", "[send]") {
  Fixture f;
  f.wire->Script({Step(Kind::kRetry), Step(Kind::kRetry), Step(Kind::kRetry), Step(Kind::kAcknowledged)});
  f.Push(5);
  f.loop.Start();
  REQUIRE(f.wire->WaitForCalls(4));
  f.loop.Stop();
  f.CheckLedger(5);
  const auto calls = f.wire->calls();
  REQUIRE(calls.size() == 4);
  for (const FakeWire::Call& call : calls) CHECK(call.body == calls[0].body);
}

TEST_CASE("loop: backoff grows, is jittered and capped", "[send]") {
  ExportLoop::Settings settings = FastSettings();
  settings.retry_initial = absl::Milliseconds(20);
  settings.retry_max = absl::Milliseconds(60);
  Fixture f(settings);
  f.wire->Script({Step(Kind::kRetry), Step(Kind::kRetry), Step(Kind::kRetry), Step(Kind::kRetry), Step(Kind::kRetry),
                  Step(Kind::kRetry), Step(Kind::kAcknowledged)});
  f.Push(1);
  f.loop.Start();
  REQUIRE(f.wire->WaitForCalls(7));
  f.loop.Stop();
  const auto calls = f.wire->calls();
  double expected_ms = 20;
  std::set<uint64_t> gaps;
  for (size_t i = 1; i < calls.size(); ++i) {
    const uint64_t gap_ns = calls[i].at_ns - calls[i - 1].at_ns;
    INFO("gap " << i << ": " << gap_ns);
    CHECK(static_cast<double>(gap_ns) >= expected_ms * 0.5e6);
    CHECK(gap_ns < 60'000'000 + 2'000'000'000);  // the cap, and the machine's leisure
    gaps.insert(gap_ns / 1'000'000);
    expected_ms = std::min(expected_ms * 1.5, 60.0);
  }
  CHECK(gaps.size() > 1);
}

TEST_CASE("loop: Retry-After is obeyed, and clamped to the longest wait", "[send]") {
  ExportLoop::Settings settings = FastSettings();
  settings.retry_max = absl::Milliseconds(300);
  Fixture f(settings);
  f.wire->Script({RetryAfter(absl::Milliseconds(200)), RetryAfter(absl::InfiniteDuration()),
                  RetryAfter(absl::Seconds(-100)), Step(Kind::kAcknowledged)});
  f.Push(1);
  f.loop.Start();
  REQUIRE(f.wire->WaitForCalls(4));
  f.loop.Stop();
  f.CheckLedger(1);
  const auto calls = f.wire->calls();
  CHECK(calls[1].at_ns - calls[0].at_ns >= 200'000'000);
  CHECK(calls[2].at_ns - calls[1].at_ns >= 300'000'000);
  CHECK(calls[2].at_ns - calls[1].at_ns < 5'000'000'000);
}

TEST_CASE("loop: a batch is given up after its time, the next ones wait for the same backoff", "[send]") {
  ExportLoop::Settings settings = FastSettings();
  settings.retry_give_up = absl::Milliseconds(120);
  settings.max_batch_spans = 4;
  settings.drain = absl::ZeroDuration();
  Fixture f(settings);
  f.wire->Script({Step(Kind::kRetry)});
  f.Push(12);
  const uint64_t start_ns = MonoNs();
  f.loop.Start();
  while (f.ledger.Snapshot().in_flight() > 0 && MonoNs() - start_ns < 20'000'000'000)
    absl::SleepFor(absl::Milliseconds(5));
  f.loop.Stop();
  f.CheckLedger(0, {{DropReason::kRetriesExhausted, 12}});
  const auto calls = f.wire->calls();
  for (size_t i = 4; i < calls.size(); ++i) CHECK(calls[i].at_ns - calls[i - 1].at_ns >= 15'000'000);
  CHECK(f.Log().find("gave up") != std::string::npos);
}

TEST_CASE("loop: while the collector is down the queue fills, then drops; what is kept arrives", "[send]") {
  Fixture f(FastSettings(), {.max_spans = 20, .max_bytes = 1 << 20});
  f.wire->Script({Step(Kind::kRetry)});
  f.loop.Start();
  f.Push(1);
  REQUIRE(f.wire->WaitForCalls(2));
  f.Push(50);
  f.wire->Script({Step(Kind::kAcknowledged)});
  f.loop.Stop();
  f.CheckLedger(21, {{DropReason::kQueueFull, 30}});
}

TEST_CASE("loop: Stop sends what is left, also what waits for a retry", "[send]") {
  ExportLoop::Settings settings = FastSettings();
  settings.retry_initial = settings.retry_max = absl::Hours(1);
  settings.retry_give_up = absl::Hours(100);
  Fixture f(settings);
  f.wire->Script({Step(Kind::kRetry), Step(Kind::kAcknowledged)});
  f.Push(3);
  f.loop.Start();
  REQUIRE(f.wire->WaitForCalls(1));
  absl::SleepFor(absl::Milliseconds(20));
  const uint64_t start_ns = MonoNs();
  f.loop.Stop();
  CHECK(MonoNs() - start_ns < 5'000'000'000);
  f.CheckLedger(3);
}

TEST_CASE("loop: Stop ends at its deadline, whatever the collector does", "[send]") {
  struct Row {
    int line;
    FakeStep step;
    uint64_t most_ns;
  };
  const Row rows[] = {
      {__LINE__, Step(Kind::kRetry), 4'000'000'000},
      {__LINE__, Slow(absl::Hours(1)), 4'000'000'000},
      {__LINE__, RetryAfter(absl::Hours(1)), 4'000'000'000},  // nothing to hope for before the deadline
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    ExportLoop::Settings settings = FastSettings();
    settings.drain = absl::Milliseconds(300);
    settings.retry_max = absl::Hours(1);
    settings.request_timeout = absl::Hours(1);
    settings.max_batch_spans = 10;
    Fixture f(settings);
    f.wire->Script({row.step});
    f.Push(100);
    f.loop.Start();
    REQUIRE(f.wire->WaitForCalls(1));
    const uint64_t start_ns = MonoNs();
    f.loop.Stop();
    CHECK(MonoNs() - start_ns < row.most_ns);
    f.CheckLedger(0, {{DropReason::kShutdown, 100}});
    for (const FakeWire::Call& call : f.wire->calls()) CHECK(SpansIn(call.body) == 10);
  }
}

TEST_CASE("loop: requests of the drain have no longer timeout than the drain has left", "[send]") {
  ExportLoop::Settings settings = FastSettings();
  settings.request_timeout = absl::Hours(1);
  settings.max_delay = absl::Hours(1);
  Fixture f(settings);
  f.Push(5);
  f.loop.Start();
  f.loop.Stop();
  f.CheckLedger(5);
  REQUIRE(f.wire->calls().size() == 1);
  CHECK(f.wire->calls()[0].timeout <= absl::Seconds(20));
}

TEST_CASE("loop: Stop twice, Stop without Start, no Stop at all", "[send]") {
  Fixture twice;
  twice.Push(2);
  twice.loop.Start();
  twice.loop.Stop();
  twice.loop.Stop();
  twice.CheckLedger(2);
  Fixture never_started;
  never_started.Push(2);
  never_started.loop.Stop();
  never_started.CheckLedger(2);
  Ledger ledger;
  {
    SpanQueue queue({}, ledger);
    ExportLoop loop(FastSettings(), queue, ledger, std::make_unique<FakeTransport>(std::make_shared<FakeWire>()),
                    [](absl::string_view) {});
    loop.Start();
    queue.Push(Span());
  }
  CHECK(ledger.Snapshot().acknowledged == 1);
}

TEST_CASE("loop: one line when the collector goes and one when it returns", "[send]") {
  Fixture f;
  f.wire->Script({Step(Kind::kRetry), Step(Kind::kRetry), Step(Kind::kRetry), Step(Kind::kAcknowledged)});
  f.Push(5);
  f.loop.Start();
  REQUIRE(f.wire->WaitForCalls(4));
  f.loop.Stop();
  INFO(f.Log());
  REQUIRE(f.lines.size() == 2);
  CHECK(f.lines[0] ==
        "collector state=down endpoint=fake://collector action=\"spans are kept and retried\" cause=\"scripted\"");
  CHECK(f.lines[1].find("collector state=up endpoint=fake://collector action=\"spans are delivered\" down_for=") == 0);
}

TEST_CASE("loop: the export thread takes no signals from the main thread", "[send]") {
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  Fixture f;
  f.loop.Start();
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) CHECK(sigismember(&before, signal) == sigismember(&after, signal));
  f.loop.Stop();
}

TEST_CASE("loop: random outcomes always balance", "[send]") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SeededIds random(seed);
    ExportLoop::Settings settings = FastSettings();
    settings.max_batch_spans = 7;
    settings.retry_initial = settings.retry_max = absl::Milliseconds(1);
    settings.drain = absl::Milliseconds(seed % 3 == 0 ? 20 : 2000);
    settings.request_timeout = absl::Milliseconds(10);
    Fixture f(settings, {.max_spans = 100, .max_bytes = 1 << 20});
    std::vector<FakeStep> steps;
    for (int i = 0; i < 40; ++i) {
      const uint8_t dice = random.NewSpanId().bytes[0] % 8;
      steps.push_back(dice == 0 ? Slow(absl::Milliseconds(dice * 3)) : Step(static_cast<Kind>(dice % 4), dice));
    }
    f.wire->Script(steps);
    f.Push(60);
    f.loop.Start();
    f.Push(90);
    f.loop.Stop();
    f.Push(5);
    const LedgerSnapshot ledger = f.ledger.Snapshot();
    INFO("seed " << seed << ": " << ledger.Format());
    CHECK(ledger.created == 155);
    CHECK(ledger.acknowledged + ledger.total_dropped() == 155);
    CHECK(ledger.dropped[static_cast<size_t>(DropReason::kShutdown)] >= 5);
    CHECK(ledger.dropped[static_cast<size_t>(DropReason::kEncode)] == 0);
  }
}

}  // namespace
}  // namespace spantap
