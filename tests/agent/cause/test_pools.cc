// SPDX-License-Identifier: Apache-2.0
//
// Pools of connections: when calls wait for one, and whose they are then.
#include <catch2/catch.hpp>
#include <deque>
#include <random>

#include "agent/cause/pools.h"
#include "tests/agent/cause/judge.h"
#include "tests/agent/cause/simulated.h"

namespace spantap {
namespace {

// Calls in use at a time, up to a limit; `reuses` if the limit is reached.
class Client {
 public:
  void Run(size_t calls, size_t limit, size_t wanted) {
    for (size_t i = 0; i < calls; ++i) {
      const size_t busy = std::min<size_t>(limit, 1 + random_() % (2 * wanted));
      bool freed = false;
      for (; open_.size() >= busy; freed = true) {
        pools.OnAnswered(open_.front());
        open_.pop_front();
      }
      Call& call = open_.emplace_back();
      call.reuses = freed && busy == limit;
      pools.OnSent(call, 77);
    }
  }
  Pools pools;

 private:
  std::deque<Call> open_;
  std::mt19937_64 random_{5};
};

TEST_CASE("pools: calls wait where connections are at their limit", "[cause]") {
  Client client;
  client.Run(600, 4, 8);
  CHECK(client.pools.AnyWaits());
  CHECK(client.pools.Waits(0));
  CHECK(client.pools.FreedOf(0) != nullptr);
  CHECK(client.pools.MayWait(0));
  client.Run(2000, 1000, 8);  // there are enough now
  CHECK(!client.pools.AnyWaits());
  CHECK(client.pools.FreedOf(0) == nullptr);
}

TEST_CASE("pools: none waits where there are enough", "[cause]") {
  Client client;
  client.Run(2000, 1000, 8);
  CHECK(!client.pools.AnyWaits());
  CHECK(!client.pools.MayWait(0));
  CHECK(!client.pools.MayWait(Pools::kNone));
}

TEST_CASE("pools: bounded; further destinations belong to none", "[cause]") {
  Pools pools;
  std::deque<Call> calls;
  for (uint64_t i = 0; i < 3 * Pools::kMax; ++i) {
    Call& call = calls.emplace_back();
    call.label = static_cast<Label>(std::min<uint64_t>(i, kMaxLabels - 1));
    pools.OnSent(call, i);
    CHECK((call.pool == Pools::kNone) == (i >= Pools::kMax));
  }
  CHECK(pools.size() == Pools::kMax);
  CHECK(pools.Of(3) == 3);
  CHECK(pools.Of(200) == Pools::kNone);
  for (const Call& call : calls) pools.OnGone(call);
  for (const Call& call : calls) pools.OnAnswered(call);
  CHECK(!pools.Waits(Pools::kNone));
}

// Routes without timers, and one with; all of them call the same backend.
ServerPlan SmallPool(size_t pool, uint64_t seed) {
  ServerPlan plan;
  plan.routes = {{1, {{{11}, 1}, {{12}, 1}, {{}, 1}}},
                 {2, {{{12, 12, 12}, 1}, {{}, 1}}},
                 {3, {{{12}, 1, 1'000'000, 5'000'000}, {{}, 1}}},
                 {4, {{{11}, 1}, {{12, 13}, 1}, {{}, 1}}}};
  plan.pool = pool;
  plan.clients = 32;
  plan.busy = 3000;
  plan.seed = seed;
  return plan;
}

Score ScoreOf(const ServerPlan& plan, bool order) {
  SimulatedServer server(plan);
  server.Run();
  CauseSettings settings;
  settings.use_order = order;
  Judge judge(settings);
  judge.Tell(server.told);
  judge.End();
  for (const std::string& fault : judge.faults()) FAIL_CHECK(fault);
  return judge.ScoreOf(server.truth, server.calm_until_ns);
}

TEST_CASE("pools: calls that waited are their handlers'", "[cause]") {
  for (const uint64_t seed : {1, 2, 3}) {
    const ServerPlan plan = SmallPool(4, seed);
    const Score with = ScoreOf(plan, true);
    const Score without = ScoreOf(plan, false);
    UNSCOPED_INFO("seed " << seed << ": " << with.right << " of " << with.all << ", without the order of the queue "
                          << without.right);
    CHECK(with.Right() > 0.9);
    CHECK(with.Right() > without.Right() + 0.2);
    CHECK(with.wrong == 0);
  }
}

TEST_CASE("pools: again gives the same", "[cause]") {
  const ServerPlan plan = SmallPool(4, 7);
  SimulatedServer server(plan);
  server.Run();
  const auto decide = [&] {
    Judge judge;
    judge.Tell(server.told);
    judge.End();
    return judge.ScoreOf(server.truth).right;
  };
  const auto first = decide();
  CHECK(decide() == first);
}

}  // namespace
}  // namespace spantap
