// SPDX-License-Identifier: Apache-2.0
//
// The cause finder on simulated servers (simulated.h): what it says is right, and what it is sure of always.
#include <catch2/catch.hpp>

#include "tests/agent/cause/judge.h"
#include "tests/agent/cause/simulated.h"

namespace spantap {
namespace {

// Two routes with calls in turn, and at once; no timers.
ServerPlan Plan(ServerPlan::Kind kind, int hop = 1) {
  ServerPlan plan;
  plan.kind = kind;
  plan.routes = {
      {1, {{{11}, hop}, {{12}, hop}, {{}, hop}}}, {2, {{{11}, hop}, {{13, 14}, hop}, {{}, hop}}}, {3, {{{}, hop}}}};
  return plan;
}

struct Outcome {
  Score calm, busy;
  std::vector<std::string> faults;
  CauseCounters counters;
};

Outcome Judged(const ServerPlan& plan, const CauseSettings& settings = {}) {
  SimulatedServer server(plan);
  server.Run();
  Judge judge(settings);
  judge.Tell(server.told);
  judge.End();
  Outcome outcome;
  outcome.busy = judge.ScoreOf(server.truth, server.calm_until_ns);
  const Score all = judge.ScoreOf(server.truth);
  outcome.calm = {all.all - outcome.busy.all, all.right - outcome.busy.right, all.stated - outcome.busy.stated,
                  all.wrong - outcome.busy.wrong};
  outcome.faults = judge.faults();
  outcome.counters = judge.finder().counters();
  CHECK(all.all == server.truth.size());
  CHECK(outcome.counters.decided == server.truth.size());
  CHECK(outcome.counters.overflow == 0);
  for (const std::string& fault : outcome.faults) FAIL_CHECK(fault);
  UNSCOPED_INFO("kind " << int{plan.kind} << " hop " << plan.routes[0].stages[0].hop << " seed " << plan.seed
                        << " calm " << outcome.calm.right << "/" << outcome.calm.all << ", busy: " << outcome.busy.all
                        << " calls, right " << outcome.busy.right << ", stated " << outcome.busy.stated << ", wrong "
                        << outcome.busy.wrong);
  return outcome;
}

TEST_CASE("causes: one open request at a time has made every call", "[cause]") {
  for (const auto kind : {ServerPlan::kLoop, ServerPlan::kThreads, ServerPlan::kRuntime}) {
    ServerPlan plan = Plan(kind);
    plan.clients = 1;
    const Outcome outcome = Judged(plan);
    // On several threads an answer may be read, and the reply written, at once.
    CHECK(outcome.busy.Right() >= (kind == ServerPlan::kRuntime ? 0.999 : 1));
    CHECK(outcome.busy.wrong == 0);
    CHECK(outcome.busy.Stated() > 0.99);
    CHECK(outcome.calm.Right() > 0.9);
    CHECK(outcome.calm.wrong == 0);
  }
}

TEST_CASE("causes: an event loop with eight clients", "[cause]") {
  for (const int hop : {0, 1, 2}) {
    for (const uint64_t seed : {1, 2}) {
      ServerPlan plan = Plan(ServerPlan::kLoop, hop);
      plan.seed = seed;
      const Outcome outcome = Judged(plan);
      CHECK(outcome.busy.Right() >= 0.99);
      CHECK(outcome.busy.wrong == 0);
      CHECK(outcome.busy.Stated() > 0.9);
    }
  }
}

TEST_CASE("causes: a thread for each request", "[cause]") {
  const Outcome outcome = Judged(Plan(ServerPlan::kThreads));
  CHECK(outcome.busy.Right() >= 0.99);
  CHECK(outcome.busy.wrong == 0);
}

TEST_CASE("causes: a runtime that moves handlers between its threads", "[cause]") {
  const Outcome outcome = Judged(Plan(ServerPlan::kRuntime));
  CHECK(outcome.busy.Right() > 0.8);
  CHECK(outcome.busy.wrong <= outcome.busy.all / 500);
}

TEST_CASE("causes: timers leave doubt, not errors", "[cause]") {
  for (const uint64_t seed : {1, 2}) {
    ServerPlan plan = Plan(ServerPlan::kLoop);
    plan.seed = seed;
    plan.routes[0].stages[1].wait_ns = 2'000'000;
    plan.routes[0].stages[1].wait_spread_ns = 3'000'000;
    plan.routes[1].stages[2].wait_ns = 1'000'000;
    plan.routes[1].stages[2].wait_spread_ns = 4'000'000;
    const Outcome outcome = Judged(plan);
    CHECK(outcome.busy.wrong <= outcome.busy.all / 500);
    CHECK(outcome.busy.Right() > 0.6);
  }
}

TEST_CASE("causes: a pool with fewer connections than clients", "[cause]") {
  ServerPlan plan = Plan(ServerPlan::kLoop);
  plan.pool = 3;
  const Outcome outcome = Judged(plan);
  CHECK(outcome.busy.Right() > 0.9);
  CHECK(outcome.busy.wrong <= outcome.busy.all / 500);
}

TEST_CASE("causes: values of their own decide where timing cannot", "[cause]") {
  ServerPlan plan = Plan(ServerPlan::kLoop);
  plan.routes[0].stages[0].wait_ns = 1'000'000;
  plan.routes[0].stages[0].wait_spread_ns = 9'000'000;
  plan.routes[1].stages[0].wait_ns = 1'000'000;
  plan.routes[1].stages[0].wait_spread_ns = 9'000'000;
  plan.clients = 16;
  const Outcome without = Judged(plan);
  plan.tokens = true;
  const Outcome with = Judged(plan);
  CHECK(with.busy.Right() >= 0.99);
  CHECK(with.busy.wrong == 0);
  CHECK(with.busy.Stated() > 0.95);
  CHECK(with.busy.Right() > without.busy.Right());
  CHECK(without.busy.wrong <= without.busy.all / 500);
}

TEST_CASE("causes: calls that no handler makes are given to none", "[cause]") {
  ServerPlan plan = Plan(ServerPlan::kLoop);
  plan.background_ns = 3'000'000;
  const Outcome outcome = Judged(plan);
  CHECK(outcome.busy.wrong <= outcome.busy.all / 500);
  CHECK(outcome.busy.Right() > 0.9);
  CHECK(outcome.busy.Stated() > 0.4);
}

TEST_CASE("causes: each part of the method can be left out", "[cause]") {
  const ServerPlan plan = Plan(ServerPlan::kLoop);
  bool CauseSettings::*const kParts[] = {
      &CauseSettings::use_tokens, &CauseSettings::use_end,   &CauseSettings::use_adjacency, &CauseSettings::use_program,
      &CauseSettings::use_gaps,   &CauseSettings::use_order, &CauseSettings::use_gates};
  for (const auto part : kParts) {
    CauseSettings settings;
    settings.*part = false;
    const Outcome outcome = Judged(plan, settings);
    CHECK(outcome.busy.Right() > 0.5);
    if (settings.use_gates) CHECK(outcome.busy.wrong <= outcome.busy.all / 200);
  }
}

TEST_CASE("causes: calls that nobody doubts are left alone", "[cause]") {
  SimulatedServer server(Plan(ServerPlan::kLoop));
  server.Run();
  Judge judge;
  Truth asked;
  for (const Told& told : server.told) {
    judge.Tell(told);
    if (told.kind != Told::kOutgoing) continue;
    const uint64_t id = told.outgoing.id;
    if (id % 2 == 0) {
      asked[id] = server.truth.at(id);
      continue;
    }
    Told known;
    known.kind = Told::kKnown;
    known.ns = told.ns, known.id = id, known.cause = server.truth.at(id);
    judge.Tell(known);
  }
  judge.End();
  for (const std::string& fault : judge.faults()) FAIL_CHECK(fault);
  const Score score = judge.ScoreOf(asked, server.calm_until_ns);
  CHECK(judge.decisions().size() == asked.size());
  CHECK(score.Right() >= 0.99);
  CHECK(score.wrong == 0);
}

}  // namespace
}  // namespace spantap
