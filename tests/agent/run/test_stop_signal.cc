// SPDX-License-Identifier: Apache-2.0
//
// In a child process each: what a signal has set cannot be taken back.
#include "agent/run/stop_signal.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <thread>

#include "agent/run/exporting.h"

namespace spantap {
namespace {

class CountingExporter final : public Exporter {
 public:
  SpanQueue& queue() override { return queue_; }
  void Start() override {}
  void RequestStop() override { ++requests; }
  void Stop() override {}
  ExporterStatus status() const override {
    ExporterStatus status;
    status.endpoints.push_back({"http://collector/v1/traces", "down", "", 0, 0});
    return status;
  }
  std::atomic<int> requests{0};

 private:
  Ledger ledger_;
  SpanQueue queue_{SpanQueue::Limits{}, ledger_};
};

// Whether `test` returns true in a process of its own that has our handlers.
bool InChild(const std::function<bool()>& test) {
  const pid_t child = fork();
  if (child == 0) {
    InstallStopSignals();
    _exit(test() ? 0 : 1);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_CASE("signals: SIGTERM and SIGINT stop and wake the exporter, SIGHUP does not", "[run]") {
  for (const int signal : {SIGTERM, SIGINT}) {
    CHECK(InChild([signal] {
      CountingExporter exporter;
      SetStopTarget(&exporter);
      raise(signal);
      return StopRequested() && exporter.requests == 1 && !TakeReloadRequest();
    }));
  }
  CHECK(InChild([] {
    CountingExporter exporter;
    SetStopTarget(&exporter);
    raise(SIGHUP);
    return !StopRequested() && exporter.requests == 0 && TakeReloadRequest() && !TakeReloadRequest();
  }));
}

TEST_CASE("signals: without an exporter nobody is woken, one that comes late is told", "[run]") {
  CHECK(InChild([] {
    CountingExporter gone, late;
    SetStopTarget(&gone);
    SetStopTarget(nullptr);
    raise(SIGTERM);
    SetStopTarget(&late);
    return gone.requests == 0 && late.requests == 1;
  }));
}

TEST_CASE("signals: threads made while they are held take none, the maker takes them again", "[run]") {
  CHECK(InChild([] {
    sigset_t inside, outside;
    {
      const SignalsHeld held;
      std::thread([&inside] { pthread_sigmask(SIG_BLOCK, nullptr, &inside); }).join();
    }
    pthread_sigmask(SIG_BLOCK, nullptr, &outside);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
      if (!sigismember(&inside, signal) || sigismember(&outside, signal)) return false;
    }
    return !sigismember(&inside, SIGSEGV);
  }));
}

TEST_CASE("delivered: acknowledged or safe on disk is enough, the rest is named", "[run]") {
  const CountingExporter exporter;
  LedgerSnapshot spans;
  spans.created = 10;
  spans.acknowledged = 7;
  spans.spooled = 3;
  CHECK(CheckDelivered(exporter, spans).ok());
  spans.spooled = 1;
  spans.dropped[static_cast<size_t>(DropReason::kShutdown)] = 2;
  CHECK(CheckDelivered(exporter, spans).message() ==
        "http://collector/v1/traces: 2 of 10 spans were not accepted; the ledger says why");
}

TEST_CASE("exporter: none without an endpoint, none when disabled", "[run]") {
  Ledger ledger;
  Settings settings;
  CHECK(*MakeExporterFor(settings, ledger) == nullptr);
  settings.exporter.endpoints.push_back(
      {*ParseEndpoint("http://127.0.0.1:1", Protocol::kHttpProtobuf, EndpointForm::kBase)});
  settings.disabled = true;
  CHECK(*MakeExporterFor(settings, ledger) == nullptr);
}

}  // namespace
}  // namespace spantap
