// SPDX-License-Identifier: Apache-2.0
//
// The cause finder on situations written by hand: each is one that went wrong somewhere before.
#include <catch2/catch.hpp>

#include "tests/agent/cause/story.h"

namespace spantap {
namespace {

void CheckContract(Story& story) {
  story.judge.End();
  for (const std::string& fault : story.judge.faults()) FAIL_CHECK(fault);
}

void CheckRight(Story& story, uint64_t outgoing, uint64_t incoming) {
  const CauseDecision decision = story.Cause(outgoing);
  INFO(decision.confidence << " " << std::string(decision.reason));
  CHECK(decision.incoming == incoming);
}

void CheckNotStated(Story& story, uint64_t outgoing) {
  const CauseDecision decision = story.Cause(outgoing);
  INFO("said " << decision.incoming);
  CHECK(decision.confidence <= 0.9);
}

// Sure of it or silent.
void CheckNotWrong(Story& story, uint64_t outgoing, uint64_t incoming) {
  const CauseDecision decision = story.Cause(outgoing);
  INFO("said " << decision.incoming << " " << decision.confidence);
  CHECK((decision.incoming == incoming || decision.confidence <= 0.9));
}

// Read, a timer of its own length, a call, its answer, the reply.
void CalmTimers(Story& story) {
  for (int i = 0; i < 200; ++i) {
    story.Sleep(300);
    const uint64_t in = story.In();
    story.Sleep(1000 + i * 37 % 5000);
    const uint64_t out = story.Out(11, 1);
    story.Sleep(900);
    story.Answer(out);
    story.Turn();
    story.Reply(in);
  }
}

TEST_CASE("causes: two timers in one turn", "[cause]") {
  Story story;
  CalmTimers(story);
  const uint64_t a = story.In();
  story.Sleep(400);
  const uint64_t b = story.In();
  story.Sleep(2500);
  const uint64_t x = story.Out(11, 1), y = story.Out(11, 2);
  story.Sleep(900);
  story.Answer(x), story.Answer(y);
  story.Turn();
  story.Reply(a), story.Reply(b);
  CheckNotStated(story, x);
  CheckNotStated(story, y);
  CheckContract(story);
}

TEST_CASE("causes: replies in a timer's turn", "[cause]") {
  Story story;
  for (int i = 0; i < 200; ++i) {
    story.Sleep(300);
    const uint64_t in = story.In();
    story.Turn();
    const uint64_t out = story.Out(11, 1);
    story.Sleep(900);
    story.Answer(out);
    story.Sleep(1000 + i * 37 % 4000);
    story.Reply(in);
  }
  const uint64_t a = story.In();
  story.Turn();
  const uint64_t x = story.Out(11, 1);
  story.Sleep(300);
  const uint64_t b = story.In();
  story.Turn();
  const uint64_t y = story.Out(11, 2);
  story.Sleep(700);
  story.Answer(y), story.Answer(x);
  story.Sleep(2500);
  story.Reply(b), story.Reply(a);
  CheckRight(story, x, a);
  CheckRight(story, y, b);
  CheckContract(story);
}

TEST_CASE("causes: of two calls that go to other threads either may be sent first", "[cause]") {
  Story story;
  const auto read = [&](uint32_t thread) {
    story.Thread(thread), story.Sleep(100);
    return story.In();
  };
  const auto send = [&](uint32_t thread, uint64_t call) {
    story.Thread(thread), story.Turn(50);
    return story.Out(call, thread);
  };
  const auto answer = [&](uint32_t thread, uint64_t call) {
    story.Thread(thread), story.Sleep(900);
    story.Answer(call);
  };
  const auto reply = [&](uint32_t thread, uint64_t in) {
    story.Thread(thread), story.Sleep(60);
    story.Reply(in);
  };
  for (int i = 0; i < 300; ++i) {
    const uint64_t in = read(1), b = send(2, 11), c = send(3, 12);
    answer(2, b), answer(3, c);
    reply(1, in);
    story.Pass(500);
  }
  const uint64_t a = read(1), b1 = send(2, 11), c1 = send(3, 12);
  story.Pass(400);
  const uint64_t d = read(4), c2 = send(5, 12), b2 = send(6, 11);
  for (const auto& [thread, call] : {std::pair(2u, b1), {3u, c1}, {5u, c2}, {6u, b2}}) answer(thread, call);
  reply(1, a), reply(4, d);
  for (const auto& [call, cause] : {std::pair(b1, a), {c1, a}, {c2, d}, {b2, d}}) {
    INFO(call);
    CHECK(story.Cause(call).incoming == cause);
  }
  CheckContract(story);
}

TEST_CASE("causes: a call that waited for the connection that became free", "[cause]") {
  Story story;
  story.Calm();
  const uint64_t a = story.In();
  story.Turn();
  const uint64_t x = story.Out(11, 1);
  story.Sleep(300);
  const uint64_t b = story.In();
  story.Turn();  // its call has no connection
  story.Sleep(700);
  story.Answer(x);
  const uint64_t y = story.Out(11, 1);
  story.Turn();
  story.Reply(a);
  story.Sleep(800);
  story.Answer(y);
  story.Turn();
  story.Reply(b);
  CheckRight(story, x, a);
  CheckRight(story, y, b);
  CheckContract(story);
}

TEST_CASE("causes: three like calls of each, and one of somebody else's", "[cause]") {
  Story story;
  story.Calm(200, 2);
  for (int i = 0; i < 200; ++i) {
    story.Sleep(300);
    const uint64_t in = story.In();
    story.Turn();
    const uint64_t outs[] = {story.Out(11, 1), story.Out(11, 2), story.Out(11, 3)};
    for (const uint64_t out : outs) story.Sleep(300), story.Answer(out);
    story.Turn();
    story.Reply(in);
  }
  story.Sleep(300);
  const uint64_t a = story.In(), c = story.In(2), b = story.In();
  story.Turn();
  std::vector<std::pair<uint64_t, uint64_t>> truth;
  uint64_t connection = 1;
  for (const uint64_t in : {a, a, a, c, b, b, b}) truth.push_back({story.Out(11, connection++), in});
  for (const auto& [out, in] : truth) {
    story.Sleep(100);
    story.Answer(out);
    if (in == c) story.Turn(), story.Reply(c);
    if (out == truth[2].first) story.Turn(), story.Reply(a);
  }
  story.Turn();
  story.Reply(b);
  for (const auto& [out, in] : truth) CheckRight(story, out, in);
  CheckContract(story);
}

TEST_CASE("causes: a request that is given up without a reply", "[cause]") {
  Story story;
  story.Calm();
  const uint64_t a = story.In();
  story.Turn();
  const uint64_t x = story.Out(11, 1);
  story.Sleep(200);
  const uint64_t b = story.In();
  story.Turn();
  const uint64_t y = story.Out(11, 2);
  story.Sleep(500);
  story.Over(a);
  story.Answer(x), story.Answer(y);
  story.Turn();
  story.Reply(b);
  CheckNotWrong(story, x, a);
  CheckRight(story, y, b);
  story.Calm(20);
  CheckContract(story);
}

TEST_CASE("causes: a call that nobody asked for", "[cause]") {
  Story story;
  story.Calm();
  story.Sleep(5000);
  const uint64_t nobodys = story.Out(11, 1);
  story.Sleep(500);
  story.Answer(nobodys);
  const uint64_t a = story.In();
  story.Turn();
  const uint64_t x = story.Out(11, 1);
  story.Sleep(400);
  const uint64_t unknown = story.Out(77, 5);  // no route calls that
  story.Sleep(400);
  story.Answer(x), story.Answer(unknown);
  story.Turn();
  story.Reply(a);
  const CauseDecision decision = story.Cause(nobodys);
  CHECK(decision.incoming == 0);
  CHECK(decision.reason == "no_candidate");
  CheckRight(story, x, a);
  CheckNotStated(story, unknown);
  CheckContract(story);
}

// Two requests at a time, each on a thread that does nothing else; nothing is counted.
Truth OnThreads(Story& story, int times) {
  Truth truth;
  for (int i = 0; i < times; ++i) {
    const uint32_t first = 10 + i % 3 * 2;
    story.Thread(first), story.Pass(300);
    const uint64_t a = story.In();
    story.Thread(first + 1), story.Pass(20);
    const uint64_t b = story.In();
    story.Thread(first), story.Pass(20);
    const uint64_t x = story.Out(11, first);
    story.Thread(first + 1), story.Pass(20);
    const uint64_t y = story.Out(11, first + 1);
    story.Pass(700);
    story.Answer(y), story.Pass(10), story.Reply(b);
    story.Thread(first), story.Pass(200);
    story.Answer(x), story.Pass(10), story.Reply(a);
    truth[x] = a, truth[y] = b;
  }
  return truth;
}

TEST_CASE("causes: a process that turns from a loop into threads", "[cause]") {
  Story story;
  story.Calm();
  story.Counted(false);
  const Truth before = OnThreads(story, 60);
  for (int i = 0; i < 200; ++i) {
    story.Thread(10 + i % 6), story.Pass(300);
    const uint64_t in = story.In();
    story.Pass(30);
    const uint64_t out = story.Out(11, 10 + i % 6);
    story.Pass(800);
    story.Answer(out), story.Pass(10), story.Reply(in);
  }
  const Truth after = OnThreads(story, 60);
  story.Cause(0);
  CHECK(story.judge.ScoreOf(before).wrong == 0);
  const Score score = story.judge.ScoreOf(after);
  CHECK(score.all == after.size());
  CHECK(score.wrong == 0);
  CheckContract(story);
}

TEST_CASE("causes: a call that is tried again", "[cause]") {
  Story story;
  story.Calm();
  for (int i = 0; i < 20; ++i) {
    const uint64_t a = story.In();
    story.Turn();
    const uint64_t x = story.Out(11, 7);
    story.Sleep(300);
    const uint64_t b = story.In();
    story.Turn();
    const uint64_t y = story.Out(11, 2);
    story.Sleep(300);
    story.Over(x);  // the connection broke
    const uint64_t again = story.Out(11, 8);
    story.Sleep(500);
    story.Answer(y);
    story.Turn();
    story.Reply(b);
    story.Sleep(100);
    story.Answer(again);
    story.Turn();
    story.Reply(a);
    CheckNotWrong(story, x, a);
    CheckNotWrong(story, y, b);
    CheckNotWrong(story, again, a);
  }
  CheckContract(story);
}

TEST_CASE("causes: an answer that is read long before the reply", "[cause]") {
  Story story;
  for (int i = 0; i < 100; ++i) {
    story.Sleep(300);
    const uint64_t in = story.In();
    story.Turn();
    const uint64_t out = story.Out(11, 1);
    story.Sleep(800);
    story.Answer(out);
    story.Sleep(500'000 + i * 1000);
    story.Reply(in);
  }
  const uint64_t a = story.In();
  story.Turn();
  const uint64_t x = story.Out(11, 1);
  story.Sleep(800);
  story.Answer(x);
  story.Sleep(200'000);
  const uint64_t b = story.In();
  story.Turn();
  const uint64_t y = story.Out(11, 1);
  story.Sleep(800);
  story.Answer(y);
  story.Sleep(300'000);
  story.Reply(a);
  story.Sleep(200'000);
  story.Reply(b);
  CheckRight(story, x, a);
  CheckRight(story, y, b);
  CheckContract(story);
}

TEST_CASE("causes: calls that follow the head of the reply", "[cause]") {
  Story story;
  story.Calm();
  story.Calm(200, 2, 12);
  for (int i = 0; i < 20; ++i) {
    story.Sleep(300);
    const uint64_t a = story.In();  // streams: its head at once, then what it calls for
    story.Turn();
    story.judge.Tell([&] {
      Told head;
      head.kind = Told::kResponse, head.id = a, head.ns = story.ns, head.at.ns = story.ns;
      return head;
    }());
    story.Sleep(200);
    const uint64_t b = story.In(2);
    story.Turn();
    const uint64_t y = story.Out(12, 2);
    story.Sleep(200);
    const uint64_t x = story.Out(11, 1);
    story.Sleep(500);
    story.Answer(x), story.Answer(y);
    story.Turn();
    story.Reply(b);
    story.Over(a);
    CheckNotWrong(story, x, a);
    CheckNotWrong(story, y, b);
  }
  CheckContract(story);
}

TEST_CASE("causes: a clock that goes back, or leaps", "[cause]") {
  Story story;
  for (const int64_t jump_us : std::initializer_list<int64_t>{-100, -1'000'000, 5'000'000, -4'000'000, 3'600'000'000}) {
    story.Calm(60);
    const uint64_t a = story.In();
    story.Turn();
    story.Pass(jump_us);
    const uint64_t x = story.Out(11, 1);
    const uint64_t b = story.In();
    story.Sleep(500);
    story.Pass(-jump_us / 2);
    story.Answer(x);
    story.Turn();
    story.Reply(a), story.Reply(b);
    story.Out(11, 1);
  }
  story.Pass(7'200'000'000);
  story.Calm(200);
  const uint64_t a = story.In();
  story.Turn();
  const uint64_t x = story.Out(11, 1);
  story.Sleep(500);
  story.Answer(x);
  story.Turn();
  story.Reply(a);
  CheckRight(story, x, a);
  CheckContract(story);
}

TEST_CASE("causes: one connection serves one handler after the other", "[cause]") {
  Story story;
  story.Calm();
  for (int i = 0; i < 20; ++i) {
    story.Sleep(300);
    const uint64_t a = story.In();
    story.Turn();
    const uint64_t x = story.Out(11, 1);
    story.Sleep(800);
    story.Answer(x);
    const uint64_t b = story.In();
    story.Turn();
    story.Reply(a);
    const uint64_t y = story.Out(11, 1);  // one turn after b was read: not waited for
    story.Sleep(700);
    story.Answer(y);
    story.Turn();
    story.Reply(b);
    CheckRight(story, x, a);
    CheckRight(story, y, b);
  }
  CheckContract(story);
}

TEST_CASE("causes: the process ends in the middle", "[cause]") {
  Story story;
  story.Calm();
  const uint64_t a = story.In();
  story.Turn();
  const uint64_t x = story.Out(11, 1);
  story.Sleep(100);
  const uint64_t b = story.In();
  story.Turn();
  const uint64_t y = story.Out(11, 2);
  story.Sleep(100);
  story.Answer(x);
  story.Turn();
  story.Reply(a);
  story.End();
  CHECK(story.judge.Of(x) != nullptr);
  CHECK(story.judge.Of(y) != nullptr);
  CHECK(story.judge.Undecided() == 0);
  story.Answer(y), story.Reply(b);  // late, unknown by now
  // Another program, with the same number: nothing of before is known of it.
  const uint64_t c = story.In();
  story.Turn();
  const uint64_t z = story.Out(11, 1);
  story.Sleep(500);
  story.Answer(z);
  story.Turn();
  story.Reply(c);
  CheckNotWrong(story, z, c);
  CheckContract(story);
}

TEST_CASE("causes: a process that forks serves as two", "[cause]") {
  Story story;
  story.Process(1), story.Calm();
  story.Process(2), story.Calm();
  for (int i = 0; i < 20; ++i) {
    std::vector<std::pair<uint64_t, uint64_t>> truth;
    for (const uint32_t tgid : {1u, 2u}) story.Process(tgid), story.Sleep(10), truth.push_back({0, story.In()});
    for (const uint32_t tgid : {1u, 2u}) story.Process(tgid), story.Turn(), truth[tgid - 1].first = story.Out(11, 1);
    for (const uint32_t tgid : {2u, 1u}) story.Process(tgid), story.Sleep(500), story.Answer(truth[tgid - 1].first);
    for (const uint32_t tgid : {2u, 1u}) story.Process(tgid), story.Turn(), story.Reply(truth[tgid - 1].second);
    for (const auto& [out, in] : truth) CheckRight(story, out, in);
  }
  CheckContract(story);
}

}  // namespace
}  // namespace spantap
