// SPDX-License-Identifier: Apache-2.0
//
// fork(): only the parent exports. Each child reports by its exit status; one that hangs is killed by its alarm.
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "exporter/send/fork_guard.h"
#include "tests/exporter/send/exporter_fixture.h"

namespace spantap {
namespace {

// Runs `body` in a child; its result is the exit status.
int InChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(body());
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

TEST_CASE("fork: the guard knows a child, and a child may take over", "[send]") {
  ForkGuard guard;
  CHECK_FALSE(guard.InChild());
  CHECK(InChild([&] { return guard.InChild() ? 1 : 0; }) == 0);  // never armed
  guard.Arm();
  CHECK_FALSE(guard.InChild());
  CHECK(InChild([&] {
          if (!guard.InChild()) return 1;
          if (InChild([&] { return guard.InChild() ? 0 : 1; }) != 0) return 2;
          guard.Arm();
          return guard.InChild() ? 3 : 0;
        }) == 0);
  CHECK_FALSE(guard.InChild());
}

TEST_CASE("fork: in a child all calls return at once, nothing is sent, the parent goes on", "[send]") {
  ExporterFixture f(FastSettings(), {.endpoints = 1, .spool = true});
  f.exporter->Start();
  // Somebody holds the queue's lock most of the time, also at the moment of the fork.
  std::atomic<bool> enough{false};
  std::thread pusher([&] {
    while (!enough) f.Push(5);
  });
  for (int round = 0; round < 20; ++round) {
    const int result = InChild([&] {
      const LedgerSnapshot before = f.ledger.Snapshot();
      const uint64_t start_ns = MonoNs();
      f.exporter->queue().PushAll(MakeSpans(3));
      f.exporter->queue().Push(Span());
      if (f.exporter->queue().size() != 0) return 1;
      f.exporter->RequestStop();
      f.exporter->Start();
      if (!f.exporter->status().endpoints.empty()) return 2;
      f.exporter->Stop();
      f.exporter.reset();
      const LedgerSnapshot after = f.ledger.Snapshot();
      constexpr auto kReason = static_cast<size_t>(DropReason::kNoExporter);
      if (after.created - before.created != 4 || after.dropped[kReason] - before.dropped[kReason] != 4) return 3;
      return MonoNs() - start_ns < 5'000'000'000 ? 0 : 4;
    });
    CHECK(result == 0);
  }
  enough = true;
  pusher.join();
  REQUIRE(f.WaitForNothingInFlight());
  f.Push(1);
  f.exporter->Stop();
  const LedgerSnapshot ledger = f.ledger.Snapshot();
  CHECK(ledger.in_flight() == 0);
  CHECK(ledger.acknowledged + ledger.spooled + ledger.total_dropped() == ledger.created);
  CHECK(ledger.acknowledged > 0);
  CHECK(ledger.dropped[static_cast<size_t>(DropReason::kNoExporter)] == 0);
  CHECK(f.disk->spans() == ledger.spooled);
}

TEST_CASE("fork: an exporter that was not started may be started in the child", "[send]") {
  ExporterFixture f(FastSettings(), {.endpoints = 1, .spool = true});
  f.Push(2);
  const int result = InChild([&] {
    f.exporter->Start();
    f.Push(3);
    f.exporter->Stop();
    const LedgerSnapshot ledger = f.ledger.Snapshot();
    if (ledger.acknowledged != 5 || ledger.in_flight() != 0) return 1;
    if (f.Log().find("it belongs to the parent process") == std::string::npos) return 2;
    f.exporter.reset();
    return f.disk->open() ? 0 : 3;  // the parent's, untouched
  });
  CHECK(result == 0);
  f.exporter->Start();
  f.exporter->Stop();
  f.CheckLedger(2);
}

TEST_CASE("fork: one that was never started ends in the child without a word", "[send]") {
  ExporterFixture f(FastSettings());
  f.Push(2);
  const int result = InChild([&] {
    f.exporter->Stop();
    f.exporter.reset();
    return f.wire().calls().empty() ? 0 : 1;
  });
  CHECK(result == 0);
  f.exporter->Stop();
  f.CheckLedger(2);
}

}  // namespace
}  // namespace spantap
