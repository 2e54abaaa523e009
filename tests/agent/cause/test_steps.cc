// SPDX-License-Identifier: Apache-2.0
//
// What a step looks like, how likely that makes it, what routes do, and where calls are found.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <deque>
#include <random>

#include "agent/cause/call_index.h"
#include "agent/cause/odds.h"
#include "agent/cause/program.h"
#include "agent/cause/steps.h"

namespace spantap {
namespace {

Moment At(uint64_t us, uint32_t tid = 1, uint32_t turn = 0, uint32_t reads = 0, uint32_t writes = 0) {
  return {us * 1000, tid, turn, 0, reads, writes, true};
}

TEST_CASE("steps: buckets of time", "[cause]") {
  size_t before = 0;
  for (uint64_t us = 0; us < 100'000; ++us) {
    const size_t gap = GapBucket(us * 1000);
    REQUIRE(gap < kGaps);
    REQUIRE((gap == before || gap == before + 1));
    REQUIRE(us * 1000 < GapLimitNs(gap));
    REQUIRE(GapBand(static_cast<uint8_t>(gap)) < kGapBands);
    before = gap;
  }
  CHECK(before == kGaps - 1);
  CHECK(GapBucket(UINT64_MAX) == kGaps - 1);
  for (size_t gap = 0; gap + 1 < kGaps; ++gap) {
    CHECK(GapBucket(GapLimitNs(gap) - 1) == gap);
    CHECK(GapBucket(GapLimitNs(gap)) == gap + 1);
  }
  CHECK(GapBucket(31'999) == 0);
}

TEST_CASE("steps: how two moments stand to each other", "[cause]") {
  const Moment from = At(100, 1, 7, 3, 4);
  CHECK(See(from, At(110, 1, 7, 3, 5), 1, kAnyHop).nearness == 10);
  CHECK(See(from, At(110, 1, 8, 3, 5), 1, 1).nearness == 0);
  CHECK(See(from, At(110, 1, 8, 4, 5), 1, 1).nearness == 3);
  CHECK(See(from, At(110, 1, 8, 3, 6), 1, 1).nearness == 1);
  CHECK(See(from, At(110, 1, 9, 3, 5), 1, 1).nearness == 9);
  CHECK(See(from, At(110, 1, 15, 3, 5), 1, kAnyHop).nearness == 37);
  CHECK(See(from, At(110, 1, 8, 3, 5), 1, 1).hop == 1);
  CHECK(See(from, At(110, 1, 200, 3, 5), 1, kAnyHop).hop == kHops - 1);
  CHECK(See(from, At(110, 2), 2, 1).nearness == kHomeThread);
  CHECK(See(from, At(110, 2), 1, 1).nearness == kOtherThread);
  CHECK(See(from, At(110, 2), 1, 1).hop == kAnyHop);
  Moment slept = At(110, 1, 8, 3, 5);
  slept.burst = 1;
  CHECK(See(from, slept, 1, 1).nearness == kSlept);
  CHECK_FALSE(MayBeImmediate(See(from, slept, 1, 1)));
  Moment uncounted = At(110);
  uncounted.counted = false;
  CHECK(See(from, uncounted, 1, 1).nearness == kSlept);
  CHECK(MayBeImmediate(See(from, At(110, 2), 1, 1)));
  CHECK_FALSE(MayBeImmediate(See(from, At(10'000, 2), 1, 1)));
}

TEST_CASE("steps: any moments have a sight, counters that wrap too", "[cause]") {
  Moment from = At(100, 1, UINT32_MAX, UINT32_MAX, UINT32_MAX);
  CHECK(See(from, At(110, 1, 0, UINT32_MAX, 0), 1, 1).nearness == 0);
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    Moment a, b;
    for (Moment* const at : {&a, &b}) {
      at->ns = random() >> random() % 64, at->tid = random() % 2, at->counted = random() % 4 != 0;
      at->turn = static_cast<uint32_t>(random() >> random() % 64), at->burst = random() % 2;
      at->reads = static_cast<uint32_t>(random()), at->writes = static_cast<uint32_t>(random());
    }
    const Sight sight = See(a, b, random() % 2, random() % 2 ? kAnyHop : random() % kHops);
    REQUIRE(sight.gap < kGaps);
    REQUIRE(sight.nearness < kNearness);
    REQUIRE((sight.hop < kHops || sight.hop == kAnyHop));
  }
}

constexpr StepContext kContext{1, Last::kRequest, 0, 5, false};

// At once, in the next turn, while strangers are anywhere.
Odds Learned(int times, Odds::Parts parts = {}) {
  Odds odds(parts);
  for (int i = 0; i < times; ++i) {
    odds.LearnTrue(kContext, See(At(0), At(20 + i % 10, 1, 1, 0, 1), 1, odds.HopOf(kContext)), 1, 1);
    for (uint32_t k = 1; k < 4; ++k) {
      odds.LearnStranger(kContext, See(At(0), At(300 * k, 1, 3 * k, k, k), 1, odds.HopOf(kContext)));
    }
  }
  return odds;
}

TEST_CASE("odds: what was learned speaks for what looks like it", "[cause]") {
  const Odds odds = Learned(200);
  REQUIRE(odds.HopOf(kContext) == 1);
  const double like = odds.Of(kContext, See(At(0), At(25, 1, 1, 0, 1), 1, 1));
  const double unlike = odds.Of(kContext, See(At(0), At(600, 1, 6, 2, 2), 1, 1));
  CHECK(like > 1);
  CHECK(unlike < -1);
  CHECK(like > Learned(3).Of(kContext, See(At(0), At(25, 1, 1, 0, 1), 1, kAnyHop)));
  CHECK(odds.Immediate(kContext));
  CHECK(odds.ReachOf(kContext).hop == 1);
}

TEST_CASE("odds: what was never seen costs", "[cause]") {
  const Odds odds = Learned(200);
  StepContext other = kContext;
  other.next = 6;
  const Sight sight = See(At(0), At(25, 1, 1, 0, 1), 1, 1);
  CHECK(odds.Of(other, sight) < odds.Of(kContext, sight) - 6);
  CHECK(odds.HopOf(other) == kAnyHop);
  CHECK_FALSE(odds.Immediate(other));
  CHECK(odds.ReachOf(other).ns == UINT64_MAX);
}

TEST_CASE("odds: without a part, that part says nothing", "[cause]") {
  const Odds odds = Learned(200, {false, false});
  const double one = odds.Of(kContext, See(At(0), At(25, 1, 1, 0, 1), 1, 1));
  const double other = odds.Of(kContext, See(At(0), At(600, 1, 6, 2, 2), 1, 1));
  CHECK(std::abs(one - other) < 0.7);
}

TEST_CASE("odds: bounded, and forgotten by route", "[cause]") {
  Odds odds({});
  const Sight sight = See(At(0), At(25, 1, 1, 0, 1), 1, kAnyHop);
  const auto learn = [&](uint16_t route) {
    for (int i = 0; i < 40; ++i) odds.LearnTrue({route, Last::kRequest, 0, 5, false}, sight, 1, 1);
  };
  const auto known = [&](uint16_t route) { return odds.Of({route, Last::kRequest, 0, 5, false}, sight) > -5; };
  size_t all = 0;
  for (uint16_t route = 0; route < 3000; ++route) learn(route);
  for (uint16_t route = 0; route < 3000; ++route) all += known(route);
  CHECK(all == Odds::kMaxContexts);
  odds.ForgetRoute(7);
  CHECK_FALSE(known(7));
  CHECK_FALSE(known(2999));
  learn(2999);
  CHECK(known(2999));
  for (int i = 0; i < 20'000; ++i) odds.LearnTrue(kContext, sight, 1, 1), odds.LearnStranger(kContext, sight);
  CHECK(std::isfinite(odds.Of(kContext, sight)));
}

TEST_CASE("program: what follows a state", "[cause]") {
  Program program;
  HandlerState start{1, {}, false};
  CHECK(program.NextOf(start) == nullptr);
  for (int i = 0; i < 90; ++i) program.Learn(start, 5, 1);
  for (int i = 0; i < 10; ++i) program.Learn(start, kReply, 1);
  REQUIRE(program.NextOf(start) != nullptr);
  CHECK(program.NextOf(start)->size() == 2);
  CHECK(program.LogOf(start, 5) == Approx(std::log(0.9)).margin(0.02));
  CHECK(program.LogOf(start, kReply) == Approx(std::log(0.1)).margin(0.05));
  CHECK(program.LogOf(start, 6) < -5);
  HandlerState waiting = start;
  waiting.outstanding = true;
  CHECK(program.NextOf(waiting) == nullptr);
  program.ForgetRoute(1);
  CHECK(program.NextOf(start) == nullptr);
}

TEST_CASE("program: the order of calls makes no difference, their number up to three does", "[cause]") {
  Bag a, b;
  a.Add(5), a.Add(6);
  b.Add(6), b.Add(5);
  CHECK(a.hash() == b.hash());
  uint64_t before = a.hash();
  for (int nth = 2; nth <= 3; ++nth) {
    a.Add(5);
    CHECK(a.hash() != before);
    before = a.hash();
  }
  a.Add(5);
  CHECK(a.hash() == before);
  CHECK(HandlerState{1, a, false}.key() != HandlerState{2, a, false}.key());
  CHECK(HandlerState{1, a, false}.key() != HandlerState{1, a, true}.key());
}

TEST_CASE("program: bounded", "[cause]") {
  Program program;
  size_t known = 0;
  for (uint16_t route = 0; route < 5000; ++route) program.Learn({route, {}, false}, 5, 1);
  for (uint16_t route = 0; route < 5000; ++route) known += program.NextOf({route, {}, false}) != nullptr;
  CHECK(known == Program::kMaxStates);
}

TEST_CASE("call index: as if all calls were looked through", "[cause]") {
  std::mt19937 random(9);
  std::deque<Call> calls;
  CallIndex index;
  for (uint64_t id = 1; id <= 2000; ++id) {
    Call& call = calls.emplace_back();
    call.id = id;
    call.label = random() % 5;
    // In order of turns on each thread, told somewhat out of order.
    call.sent = At(id * 10 + 10, static_cast<uint32_t>(id % 3), static_cast<uint32_t>(id / 12));
    call.dequeued = random() % 4 == 0;
  }
  std::vector<Call*> order;
  for (Call& call : calls) order.push_back(&call);
  for (size_t i = 0; i + 4 < order.size(); i += 4) std::shuffle(order.begin() + i, order.begin() + i + 4, random);
  for (Call* call : order) index.Add(*call);
  uint64_t trimmed_ns = 0;
  for (int n = 0; n < 600; ++n) {
    const Label label = random() % 6;
    const uint64_t from_ns = random() % 20'000'000, until_ns = from_ns + random() % 3'000'000;
    const auto tid = static_cast<uint32_t>(random() % 4), turn = static_cast<uint32_t>(random() % 170);
    std::vector<Call*> between, late, in_turn;
    for (Call& call : calls) {
      if (call.sent.ns < trimmed_ns) continue;
      if (call.label != label) continue;
      const bool inside = call.sent.ns >= from_ns && call.sent.ns <= until_ns;
      if (inside) between.push_back(&call);
      if (inside && call.dequeued) late.push_back(&call);
      if (call.sent.tid == tid && call.sent.turn == turn) in_turn.push_back(&call);
    }
    const auto same = [](CallIndex::Calls a, const std::vector<Call*>& b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end());
    };
    REQUIRE(same(index.Between(label, from_ns, until_ns), between));
    REQUIRE(same(index.Late(label, from_ns, until_ns), late));
    REQUIRE(same(index.InTurn(label, tid, turn), in_turn));
    if (n % 100 == 99) index.Trim(trimmed_ns = n * 30'000);
  }
  index.Trim(UINT64_MAX);
  CHECK(index.threads() == 0);
}

}  // namespace
}  // namespace spantap
