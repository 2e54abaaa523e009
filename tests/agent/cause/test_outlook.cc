// SPDX-License-Identifier: Apache-2.0
//
// What is looked up once a round is what Program and Odds say.
#include <catch2/catch.hpp>
#include <deque>
#include <random>

#include "agent/cause/outlook.h"
#include "agent/cause/window.h"
#include "tests/agent/cause/learned_maker.h"

namespace spantap {
namespace {

constexpr size_t kCalls = 5;
constexpr uint16_t kRoutes = 3;

Learned RandomLearned(const CauseSettings& settings, uint32_t seed) {
  Learned learned(settings);
  LabelMap labels{};
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<Label>(i);
  const LearnedImage image = cause_test::RandomImage(seed, kCalls, kRoutes);
  for (uint16_t route = 0; route < kRoutes; ++route) learned.Import(route, image.routes[route], labels);
  return learned;
}

// A handler that calls at random, and each call's answer.
struct Walk {
  Handler handler;
  std::deque<Call> calls;

  explicit Walk(std::mt19937& random) {
    uint64_t ns = 1'000'000;
    const auto moment = [&] {
      ns += random() % (1u << random() % 27);
      const auto tid = static_cast<uint32_t>(1 + random() % 2);
      const bool counted = random() % 8 != 0;
      return Moment{ns, tid, static_cast<uint32_t>(ns >> 20), 0, 0, 0, counted};
    };
    handler.route = static_cast<uint16_t>(random() % kRoutes);
    handler.begin = moment();
    for (size_t i = random() % 6; i > 0; --i) {
      Call& call = calls.emplace_back();
      call.label = static_cast<Label>(random() % kCalls);
      call.reuses = random() % 3 == 0, call.dequeued = call.reuses && random() % 2 == 0,
      call.dialled = random() % 4 == 0, call.answered = true;
      call.sent = moment();
      call.answer = moment();
      if (random() % 2 == 0) call.answer.ns += 5'000'000;  // and others go out before
    }
    handler.reply = moment();
  }
};

double Direct(const Learned& learned, const Progress& at, const StepContext& context, const Moment& to, uint32_t home) {
  const Sight sight = See(at.Before(to), to, home, learned.odds.HopOf(context));
  return learned.program.LogOf(at.state, context.next) + learned.odds.Of(context, sight);
}

TEST_CASE("outlook: as Program and Odds say, whichever way it is reached", "[cause]") {
  const CauseSettings settings;
  std::mt19937 random(5);
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const Learned learned = RandomLearned(settings, seed);
    Outlooks outlooks(settings, learned);
    for (int i = 0; i < 200; ++i) {
      Walk walk(random);
      const uint32_t home = walk.handler.begin.tid;
      Progress at(walk.handler);
      Outlook* outlook = &outlooks.Of(at);
      const auto read = [&](uint64_t ns) {
        at.ReadUntil(ns);
        outlook = &outlooks.AfterAnswers(*outlook, at);
        REQUIRE(outlook == &outlooks.Of(at));
      };
      for (Call& call : walk.calls) {
        read(call.sent.ns);
        Outlook::Step& step = outlooks.StepTo(*outlook, at.state, call.label);
        REQUIRE(outlooks.ScoreOf(step, at, call, home) == Direct(learned, at, at.Next(call), call.sent, home));
        at.Send(call);
        outlook = &outlooks.AfterCall(*outlook, at);
        REQUIRE(outlook == &outlooks.Of(at));
      }
      read(walk.handler.reply.ns);
      REQUIRE(outlooks.ScoreOfReply(*outlook, at, walk.handler.reply, home) ==
              Direct(learned, at, at.Next(kReply), walk.handler.reply, home));
    }
  }
}

TEST_CASE("outlook: what is searched for is what follows, the reply left out", "[cause]") {
  const CauseSettings settings;
  Learned learned(settings);
  HandlerState state;
  learned.program.Learn(state, 1, 600);
  learned.program.Learn(state, 2, 300);
  learned.program.Learn(state, 3, 1);  // rarely
  learned.program.Learn(state, kReply, 50);
  Outlooks outlooks(settings, learned);
  const Outlook& outlook = outlooks.Of(Progress());
  REQUIRE(outlook.calls.size() == 2);
  CHECK(outlook.calls[0].label == 1);
  CHECK(outlook.calls[1].label == 2);
}

}  // namespace
}  // namespace spantap
