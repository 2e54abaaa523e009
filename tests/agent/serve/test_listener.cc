// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/listener.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/agent/serve/http_client.h"
#include "tests/agent/serve/made_status.h"

namespace spantap {
namespace {

// An exporter with a status and nothing else.
class MadeExporter final : public Exporter {
 public:
  explicit MadeExporter(Ledger& ledger) : queue_(SpanQueue::Limits{}, ledger) {}
  SpanQueue& queue() override { return queue_; }
  void Start() override {}
  void RequestStop() override {}
  void Stop() override {}
  ExporterStatus status() const override {
    ExporterStatus status = MadeExporterStatus();
    if (!up) status.endpoints.pop_back();
    return status;
  }
  std::atomic<bool> up{true};

 private:
  SpanQueue queue_;
};

struct Rig {
  Ledger ledger;
  MadeExporter exporter{ledger};
  StatusBoard board;
  std::unique_ptr<Listener> listener = *Listener::Open("127.0.0.1:0", board);

  std::string Ask(absl::string_view path) const {
    return Get(listener->address(), absl::StrCat("GET ", path, " HTTP/1.1\r\n\r\n"));
  }
  nlohmann::json AskLedger() const {
    const std::string answer = Ask("/ledger");
    return nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n") + 4));
  }
};

TEST_CASE("listener: each path has its type", "[serve]") {
  Rig rig;
  rig.board.Begin(rig.ledger);
  rig.board.SetExporter(&rig.exporter);
  rig.board.SetPhase(Phase::kCapturing);
  CHECK(absl::StrContains(rig.Ask("/metrics"), "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  CHECK(absl::StrContains(rig.Ask("/ledger"), "Content-Type: application/json\r\n"));
  CHECK(absl::EndsWith(rig.Ask("/healthz"), "\r\n\r\nok\n"));
  CHECK(absl::EndsWith(rig.Ask("/readyz"), "\r\n\r\nready\n"));
  const std::string other = rig.Ask("/favicon.ico");
  CHECK(absl::StartsWith(other, "HTTP/1.1 404 Not Found\r\n"));
  for (const char* path : {"/metrics", "/healthz", "/readyz", "/ledger"}) CHECK(absl::StrContains(other, path));
  CHECK_FALSE(absl::StrContains(other, "favicon"));
}

TEST_CASE("listener: readiness follows the run and the collectors", "[serve]") {
  Rig rig;
  rig.board.Begin(rig.ledger);
  rig.board.SetExporter(&rig.exporter);
  CHECK(absl::StartsWith(rig.Ask("/readyz"), "HTTP/1.1 503 "));
  rig.board.SetPhase(Phase::kCapturing);
  CHECK(absl::StartsWith(rig.Ask("/readyz"), "HTTP/1.1 200 "));
  rig.exporter.up = false;
  CHECK(absl::StrContains(rig.Ask("/readyz"), "http://a:4318/v1/traces is down (connection refused)"));
  rig.exporter.up = true;
  CHECK(absl::StartsWith(rig.Ask("/readyz"), "HTTP/1.1 200 "));
  rig.board.SetPhase(Phase::kStopping);
  CHECK(absl::StartsWith(rig.Ask("/readyz"), "HTTP/1.1 503 "));
}

TEST_CASE("listener: spans are of now, events of the last publication; both stay after the run", "[serve]") {
  Rig rig;
  {
    Ledger ledger;
    rig.board.Begin(ledger);
    ledger.Created(5);
    ledger.Acknowledged(3);
    CHECK(rig.AskLedger().at("created") == 5);
    CHECK(rig.AskLedger().at("in_flight") == 2);
    CHECK(rig.AskLedger().at("events_captured") == 0);
    REQUIRE(rig.board.Due(0));
    rig.board.Publish(1000, MadeEvents());
    CHECK_FALSE(rig.board.Due(1000 + StatusBoard::kPublishNs - 1));
    CHECK(rig.board.Due(1000 + StatusBoard::kPublishNs));
    ledger.Created(1);
    rig.board.End();
  }
  CHECK(rig.AskLedger().at("created") == 6);
  CHECK(rig.AskLedger().at("events_captured") == 201);
  rig.board.Begin(rig.ledger);
  CHECK(rig.AskLedger().at("created") == 0);
  CHECK(absl::StrContains(rig.Ask("/metrics"), "spantap_reloads_total 1\n"));
}

TEST_CASE("listener: health needs no lock and no run", "[serve]") {
  Rig rig;
  CHECK(absl::StartsWith(rig.Ask("/healthz"), "HTTP/1.1 503 "));
  rig.board.Turn(MonoNs());
  CHECK(absl::StartsWith(rig.Ask("/healthz"), "HTTP/1.1 200 "));
  rig.board.Turn(MonoNs() - 16'000'000'000);
  CHECK(absl::StartsWith(rig.Ask("/healthz"), "HTTP/1.1 503 "));
}

TEST_CASE("listener: every snapshot balances while spans move", "[serve]") {
  Rig rig;
  rig.board.Begin(rig.ledger);
  rig.board.SetExporter(&rig.exporter);
  std::atomic<bool> done{false};
  std::thread mover([&] {
    while (!done) {
      rig.ledger.Created(3);
      rig.ledger.Acknowledged(2);
      rig.ledger.Dropped(DropReason::kRejected, 1);
    }
  });
  for (int i = 0; i < 50; ++i) {
    const nlohmann::json ledger = rig.AskLedger();
    const uint64_t created = ledger.at("created");
    CHECK(ledger.at("acknowledged").get<uint64_t>() + ledger.at("dropped").get<uint64_t>() +
              ledger.at("in_flight").get<uint64_t>() + ledger.at("spooled").get<uint64_t>() ==
          created);
    CHECK(ledger.at("in_flight").get<uint64_t>() <= created);
  }
  done = true;
  mover.join();
}

}  // namespace
}  // namespace spantap
