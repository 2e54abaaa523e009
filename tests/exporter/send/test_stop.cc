// SPDX-License-Identifier: Apache-2.0
//
// The end, in every state that the collector, the disk or a transport may be in: within the drain, and balanced.
#include <signal.h>
#include <sys/resource.h>

#include "tests/exporter/send/exporter_fixture.h"

namespace spantap {
namespace {

constexpr absl::Duration kDrain = absl::Milliseconds(300);
constexpr absl::Duration kLeisure = absl::Milliseconds(1500);  // of a loaded machine, beyond the drain

// Long waits, so that only the end can end them; batches of ten.
ExporterSettings StuckSettings() {
  ExporterSettings settings = SmallBatches(10);
  settings.drain = kDrain;
  settings.retry.initial = settings.retry.max = absl::Hours(1);
  settings.retry.give_up = absl::Hours(100);
  settings.request_timeout = absl::Hours(1);
  return settings;
}

struct Row {
  int line;
  FakeStep step;
};
const Row kStates[] = {
    {__LINE__, Step(Kind::kRetry)},                         // refused
    {__LINE__, Slow(absl::Hours(1))},                       // a black hole
    {__LINE__, RetryAfter(absl::Hours(1))},                 // nothing to hope for before the deadline
    {__LINE__, Deaf(absl::Milliseconds(800))},              // neither timeout nor Cancel() help
    {__LINE__, Slow(absl::Milliseconds(80), Kind::kRetry)}  // answers late, and not what is wanted
};

TEST_CASE("stop: sends what is left, also what waits for a retry", "[send]") {
  ExporterSettings settings = StuckSettings();
  settings.drain = absl::Seconds(20);
  ExporterFixture f(settings);
  f.wire().Script({Step(Kind::kRetry), Step(Kind::kAcknowledged)});
  f.Push(3);
  f.exporter->Start();
  REQUIRE(f.wire().WaitForCalls(1));
  CHECK(f.TimedStop() < absl::Seconds(5));
  f.CheckLedger(3);
}

TEST_CASE("stop: within the drain whatever the collector does; what is left is dropped", "[send]") {
  for (const Row& row : kStates) {
    INFO("line " << row.line);
    ExporterFixture f(StuckSettings());
    f.wire().Script({row.step});
    f.exporter->Start();
    f.Push(100);
    REQUIRE(f.wire().WaitForCalls(1));
    CHECK(f.TimedStop() < kDrain + kLeisure);
    f.CheckLedger(0, {{DropReason::kShutdown, 100}});
    f.Push(5);
    f.CheckLedger(0, {{DropReason::kShutdown, 105}});
  }
}

TEST_CASE("stop: with a spool what is left goes there, without wasting the drain", "[send]") {
  for (const Row& row : kStates) {
    INFO("line " << row.line);
    ExporterSettings settings = StuckSettings();
    settings.drain = absl::Milliseconds(1200);
    ExporterFixture f(settings, {.endpoints = 1, .spool = true});
    f.wire().Script({row.step});
    f.exporter->Start();
    f.Push(100);
    REQUIRE(f.wire().WaitForCalls(1));
    CHECK(f.TimedStop() < settings.drain + kLeisure);
    const LedgerSnapshot ledger = f.ledger.Snapshot();
    CHECK(ledger.in_flight() == 0);
    CHECK(f.disk->spans() == ledger.spooled);
    if (row.step.deaf) {  // it took one batch, and holds another one beyond the end
      CHECK(ledger.spooled >= 80);
      CHECK(ledger.dropped[static_cast<size_t>(DropReason::kShutdown)] <= 10);
    } else {
      CHECK(ledger.spooled == 100);
    }
  }
}

TEST_CASE("stop: a collector known to be down gets one more attempt if there is a spool", "[send]") {
  ExporterSettings settings = StuckSettings();
  settings.drain = absl::Seconds(20);
  ExporterFixture f(settings, {.endpoints = 1, .spool = true});
  f.wire().Script({Step(Kind::kRetry)});
  f.exporter->Start();
  f.Push(60);
  REQUIRE(f.wire().WaitForCalls(1));
  CHECK(f.TimedStop() < absl::Seconds(5));
  CHECK(f.wire().calls().size() <= 2);
  f.CheckLedger(0, {}, 60);
}

TEST_CASE("stop: a disk that hangs or fails does not hold it up", "[send]") {
  ExporterFixture hangs(StuckSettings(), {.endpoints = 1, .spool = true});
  hangs.wire().Script({Step(Kind::kRetry)});
  hangs.disk->SlowDown(absl::Milliseconds(900));
  hangs.exporter->Start();
  hangs.Push(200);
  REQUIRE(hangs.WaitUntil([&] { return hangs.disk->appends() > 0; }));
  CHECK(hangs.TimedStop() < kDrain + kLeisure / 3);
  const LedgerSnapshot ledger = hangs.ledger.Snapshot();
  CHECK(ledger.in_flight() == 0);
  CHECK(ledger.spooled + ledger.total_dropped() == 200);
  hangs.exporter.reset();
  // The thread that was left behind comes back, lets go of all, and changes nothing.
  REQUIRE(hangs.WaitUntil([&] { return hangs.disk.use_count() == 1; }));
  CHECK(hangs.ledger.Snapshot().Format() == ledger.Format());

  ExporterFixture fails(StuckSettings(), {.endpoints = 1, .spool = true});
  fails.wire().Script({Step(Kind::kRetry)});
  fails.disk->Fail(absl::DataLossError("I/O error"));
  fails.exporter->Start();
  fails.Push(200);
  REQUIRE(fails.wire().WaitForCalls(1));
  CHECK(fails.TimedStop() < kDrain + kLeisure);
  fails.CheckLedger(0, {{DropReason::kShutdown, 200}});
}

TEST_CASE("stop: a transport left behind settles nothing afterwards", "[send]") {
  auto f = std::make_unique<ExporterFixture>(StuckSettings());
  f->wire().Script({Deaf(absl::Milliseconds(700))});
  f->exporter->Start();
  f->Push(10);
  REQUIRE(f->wire().WaitForCalls(1));
  f->exporter->Stop();
  const std::string balance = f->ledger.Snapshot().Format();
  f->exporter.reset();
  REQUIRE(f->WaitUntil([&] { return f->wires[0].use_count() == 1; }));
  CHECK(f->ledger.Snapshot().Format() == balance);
}

TEST_CASE("stop: a request has no longer timeout than sending has left", "[send]") {
  ExporterSettings settings = StuckSettings();
  settings.drain = absl::Seconds(20);
  settings.batch.max_delay = absl::Hours(1);
  ExporterFixture f(settings, {.endpoints = 1, .spool = true});
  f.Push(5);
  f.exporter->Stop();
  f.CheckLedger(5);
  REQUIRE(f.wire().calls().size() == 1);
  CHECK(f.wire().calls()[0].timeout <= absl::Seconds(19));  // one second is the disk's
}

TEST_CASE("stop: a throttle that ends within the drain is waited for", "[send]") {
  ExporterSettings settings = StuckSettings();
  settings.drain = absl::Seconds(20);
  ExporterFixture f(settings);
  f.wire().Script({RetryAfter(absl::Milliseconds(100)), Step(Kind::kAcknowledged)});
  f.Push(5);
  f.exporter->Start();
  REQUIRE(f.wire().WaitForCalls(1));
  f.exporter->Stop();
  f.CheckLedger(5);
  const auto calls = f.wire().calls();
  REQUIRE(calls.size() == 2);
  CHECK(calls[1].at_ns - calls[0].at_ns >= 100'000'000);
}

TEST_CASE("stop: twice, without Start, with nothing, by the destructor", "[send]") {
  ExporterFixture twice(FastSettings());
  twice.Push(2);
  twice.exporter->Start();
  twice.exporter->Start();
  twice.exporter->Stop();
  twice.exporter->Stop();
  twice.exporter->Start();
  twice.CheckLedger(2);
  ExporterFixture never_started(FastSettings());
  never_started.Push(2);
  never_started.exporter->Stop();
  never_started.CheckLedger(2);
  ExporterFixture nothing(FastSettings());
  nothing.exporter->Start();
  CHECK(nothing.TimedStop() < absl::Seconds(5));
  ExporterFixture destroyed(FastSettings());
  destroyed.Push(2);
  destroyed.exporter->Start();
  destroyed.exporter.reset();
  destroyed.CheckLedger(2);
}

TEST_CASE("stop: the spool is free for the next exporter when Stop has returned", "[send]") {
  for (int round = 0; round < 50; ++round) {
    ExporterFixture f(FastSettings(), {.endpoints = 1, .spool = true});
    f.Push(1);
    f.exporter->Start();
    f.exporter.reset();
    REQUIRE_FALSE(f.disk->open());
    f.Open();
    REQUIRE(f.disk->open());
  }
}

Exporter* g_exporter = nullptr;

TEST_CASE("stop: RequestStop from a signal handler ends the waiting; Stop ends the rest", "[send]") {
  ExporterSettings settings = StuckSettings();
  settings.drain = absl::Seconds(20);
  settings.batch.max_delay = absl::Hours(1);
  ExporterFixture f(settings);
  f.wire().Script({Step(Kind::kRetry), Step(Kind::kAcknowledged)});
  f.exporter->Start();
  f.Push(1);
  REQUIRE(f.wire().WaitForCalls(1));
  f.Push(3);  // would wait for more, for an hour
  g_exporter = f.exporter.get();
  struct sigaction action = {}, before = {};
  action.sa_handler = [](int) { g_exporter->RequestStop(); };
  sigaction(SIGUSR1, &action, &before);
  raise(SIGUSR1);
  CHECK(f.WaitForNothingInFlight());
  f.CheckLedger(4);
  f.Push(2);  // still taken, and sent without delay
  CHECK(f.WaitForNothingInFlight());
  raise(SIGUSR1);
  f.exporter->Stop();
  raise(SIGUSR1);
  sigaction(SIGUSR1, &before, nullptr);
  f.CheckLedger(6);
}

TEST_CASE("exporter: its threads take no signals", "[send]") {
  static volatile sig_atomic_t seen = 0;
  seen = 0;
  struct sigaction action = {}, before = {};
  action.sa_handler = [](int) { seen = seen + 1; };
  sigaction(SIGUSR1, &action, &before);
  sigset_t block, old;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  ExporterFixture f(FastSettings());
  f.exporter->Start();
  pthread_sigmask(SIG_BLOCK, &block, &old);
  kill(getpid(), SIGUSR1);
  absl::SleepFor(absl::Milliseconds(20));
  CHECK(seen == 0);  // no other thread was there to take it
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  CHECK(seen == 1);
  f.exporter->Stop();
  sigaction(SIGUSR1, &before, nullptr);
}

uint64_t ContextSwitches() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_nvcsw);
}

TEST_CASE("exporter: idle it does not wake up", "[send]") {
  ExporterSettings settings = FastSettings();  // gathers for 5 ms
  ExporterFixture f(settings, {.endpoints = 1, .spool = true});
  f.exporter->Start();
  f.Push(1);
  REQUIRE(f.WaitForNothingInFlight());
  absl::SleepFor(absl::Milliseconds(50));
  const uint64_t before = ContextSwitches();
  absl::SleepFor(absl::Milliseconds(200));
  CHECK(ContextSwitches() - before <= 4);  // this thread's own sleep among them
  f.exporter->Stop();
}

}  // namespace
}  // namespace spantap
