// SPDX-License-Identifier: Apache-2.0
//
// What the cause finder's decisions do not depend on: the exact order in which it is told, what other processes do, and
// how often the same list is replayed.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "tests/agent/cause/judge.h"
#include "tests/agent/cause/simulated.h"

namespace spantap {
namespace {

constexpr uint64_t kTickNs = 10'000'000;

ServerPlan Plan(uint32_t tgid, uint64_t seed) {
  ServerPlan plan;
  plan.tgid = tgid;
  plan.seed = seed;
  plan.busy = 800;
  plan.routes = {{1, {{{11}}, {{12}}, {{}}}}, {2, {{{11}}, {{13, 14}}, {{}}}}};
  return plan;
}

// With the time told at fixed moments.
ToldList Ticked(ToldList list) {
  Told tick;
  const uint64_t last = list.back().ns + 5'000'000'000;
  for (tick.ns = list.front().ns / kTickNs * kTickNs; tick.ns < last; tick.ns += kTickNs) list.push_back(tick);
  std::stable_sort(list.begin(), list.end(), [](const Told& a, const Told& b) { return a.ns < b.ns; });
  return list;
}

std::vector<CauseDecision> DecisionsOn(const ToldList& list, uint32_t tgid) {
  Judge judge;
  judge.ticks = false;
  judge.Tell(list);
  judge.End();
  for (const std::string& fault : judge.faults()) FAIL_CHECK(fault);
  std::vector<CauseDecision> some;
  for (const CauseDecision& decision : judge.decisions()) {
    if (decision.tgid == tgid) some.push_back(decision);
  }
  return some;
}

bool Same(const CauseDecision& a, const CauseDecision& b) {
  return a.tgid == b.tgid && a.outgoing == b.outgoing && a.incoming == b.incoming && a.confidence == b.confidence &&
         a.rule == b.rule && a.reason == b.reason;
}

bool Same(const std::vector<CauseDecision>& a, const std::vector<CauseDecision>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return Same(x, y); });
}

TEST_CASE("causes: a list that is told again is decided again, alike", "[cause]") {
  for (const auto kind : {ServerPlan::kLoop, ServerPlan::kRuntime}) {
    ServerPlan plan = Plan(1, 5);
    plan.kind = kind;
    SimulatedServer server(plan);
    server.Run();
    const ToldList list = Ticked(server.told);
    CHECK(Same(DecisionsOn(list, 1), DecisionsOn(list, 1)));
  }
}

// Several processes, their ids in one sequence.
ToldList Together(uint32_t processes) {
  ToldList list;
  for (uint32_t tgid = 1; tgid <= processes; ++tgid) {
    ServerPlan plan = Plan(tgid, tgid);
    plan.busy = 200;
    SimulatedServer server(plan);
    server.Run();
    for (Told told : server.told) {
      for (uint64_t* const id : {&told.id, &told.incoming.id, &told.outgoing.id})
        *id += *id == 0 ? 0 : tgid * 1'000'000ull;
      list.push_back(std::move(told));
    }
  }
  return Ticked(std::move(list));
}

TEST_CASE("causes: several processes are decided in the same order each time", "[cause]") {
  const ToldList list = Together(6);
  const auto all = [&] {
    Judge judge;
    judge.ticks = false;
    judge.Tell(list);
    judge.End();
    return judge.decisions();
  };
  const std::vector<CauseDecision> first = all();
  std::vector<std::unique_ptr<int>>
      elsewhere;  // tables that lie elsewhere in memory go through their entries otherwise
  for (int i = 0; i < 8; ++i) {
    elsewhere.push_back(std::make_unique<int>(i));
    CHECK(Same(first, all()));
  }
}

TEST_CASE("causes: what other processes do makes no difference", "[cause]") {
  const ToldList together = Together(3);
  for (const uint32_t tgid : {1u, 2u, 3u}) {
    ToldList alone;
    for (const Told& told : together) {
      if (told.tgid == tgid || told.kind == Told::kTime) alone.push_back(told);
    }
    CHECK(Same(DecisionsOn(alone, tgid), DecisionsOn(together, tgid)));
  }
}

// Calls are told late by at most that much, and then in another order.
ToldList Shuffled(ToldList list, uint64_t late_ns, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t i = 0; i < list.size(); ++i) {
    order.push_back({list[i].ns + (list[i].kind == Told::kOutgoing ? random() % late_ns : 0), i});
  }
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  ToldList shuffled;
  for (const auto& [ns, i] : order) shuffled.push_back(list[i]);
  return shuffled;
}

TEST_CASE("causes: calls may be told somewhat late and in any order", "[cause]") {
  SimulatedServer server(Plan(1, 3));
  server.Run();
  Judge straight;
  straight.Tell(server.told);
  straight.End();
  const Score score = straight.ScoreOf(server.truth, server.calm_until_ns);
  for (const uint64_t seed : {1, 2, 3}) {
    Judge late;
    late.Tell(Shuffled(server.told, 30'000, seed));
    late.End();
    for (const std::string& fault : late.faults()) FAIL_CHECK(fault);
    size_t others = 0;
    for (const auto& [outgoing, incoming] : server.truth) {
      const CauseDecision* const a = straight.Of(outgoing);
      const CauseDecision* const b = late.Of(outgoing);
      REQUIRE(a != nullptr);
      REQUIRE(b != nullptr);
      others += a->incoming != b->incoming;
    }
    const Score again = late.ScoreOf(server.truth, server.calm_until_ns);
    INFO("other links " << others << ", right " << score.right << " " << again.right << ", stated " << score.stated
                        << " " << again.stated);
    CHECK(others <= server.truth.size() / 200);
    CHECK(again.wrong == 0);
    CHECK(again.Right() >= 0.99);
    CHECK(again.Stated() >= score.Stated() - 0.05);
  }
}

}  // namespace
}  // namespace spantap
