// SPDX-License-Identifier: Apache-2.0
//
// What the order of a loop tells: whose calls are that it makes in turn, and whose they were by the order of replies.
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/agent/cause/loop.h"

namespace spantap {
namespace {

constexpr Label kFirst = 5, kSecond = 6;

// A loop whose handlers call `kFirst`, and then kSecond if `two`, `hop` turns after their request was read, and reply a
// turn after all answers.
class Loop : public cause_test::Loop {
 public:
  Loop(uint32_t hop, bool two) {
    Progress at{Handler{}};
    Learn(at, kFirst, hop);
    if (two) Learn(at, kSecond, 0);
    at.last = Last::kAnswer;
    at.state.outstanding = false;
    Learn(at, kReply, 1);
  }
  Call& Out(Label label = kFirst) { return cause_test::Loop::Out(label); }
  void Turn() { Finish(); }
};

TEST_CASE("loop order: what was begun later goes on later, too", "[cause]") {
  Loop loop(0, true);
  Handler& a = loop.In();
  Call& first_a = loop.Out();
  Handler& b = loop.In();
  Call& first_b = loop.Out();
  Call& second_a = loop.Out(kSecond);
  Call& second_b = loop.Out(kSecond);
  Handler& c = loop.In();  // by then nothing was left to do
  Call& first_c = loop.Out();
  loop.Turn();
  CHECK(first_a.proposed == &a);
  CHECK(second_a.proposed == &a);
  CHECK(first_b.proposed == &b);
  CHECK(second_b.proposed == &b);
  CHECK(first_c.proposed == &c);
}

TEST_CASE("loop order: a loop that does all for one before it goes on to the next", "[cause]") {
  Loop loop(1, true);
  for (int i = 0; i < 8; ++i) {
    Handler& a = loop.In();
    Handler& b = loop.In();
    loop.Turn();
    const Call& first_a = loop.Out();
    const Call& second_a = loop.Out(kSecond);
    const Call& first_b = loop.Out();
    const Call& second_b = loop.Out(kSecond);
    loop.Turn();
    CHECK(first_a.proposed == &a);
    CHECK(second_a.proposed == &a);
    CHECK(first_b.proposed == &b);
    CHECK(second_b.proposed == &b);
    loop.Reply(a), loop.Reply(b);
    loop.Turn();
  }
  // It has shown what it does: when something is missing, that is no sign of another order.
  Handler& a = loop.In();
  Handler& b = loop.In();
  loop.Turn();
  const Call& first_a = loop.Out();
  const Call& first_b = loop.Out();
  const Call& second_b = loop.Out(kSecond);
  loop.Turn();
  CHECK(first_a.proposed == &a);
  CHECK(first_b.proposed == &b);
  CHECK(second_b.proposed == &b);
}

TEST_CASE("loop order: replies tell whose the calls were", "[cause]") {
  for (const bool swapped : {false, true}) {
    Loop loop(1, false);
    Handler& a = loop.In();
    Handler& b = loop.In();
    loop.Turn();
    Call& x = loop.Out();
    Call& y = loop.Out();
    loop.Turn();
    REQUIRE(x.proposed == &a);
    REQUIRE(y.proposed == &b);
    loop.Answer(x);
    loop.Answer(y);
    loop.Turn();
    loop.Reply(swapped ? b : a);
    loop.Reply(swapped ? a : b);
    loop.Turn();
    CHECK((swapped ? b : a).ended == x.id);
    CHECK((swapped ? a : b).ended == y.id);
  }
}

TEST_CASE("loop order: one who does not reply shifts nobody", "[cause]") {
  Loop loop(1, false);
  Handler& a = loop.In();
  Handler& b = loop.In();
  Handler& c = loop.In();
  loop.Turn();
  Call* const calls[] = {&loop.Out(), &loop.Out(), &loop.Out()};
  loop.Turn();
  for (Call* call : calls) loop.Answer(*call);
  loop.Turn();
  loop.Reply(b);
  loop.Reply(c);
  loop.Turn();
  CHECK(a.ended == 0);
  CHECK(b.ended == calls[1]->id);
  CHECK(c.ended == calls[2]->id);
}

TEST_CASE("loop order: a handler that ends with another's answer is doubted", "[cause]") {
  const CauseSettings settings;
  Learned learned(settings);
  Handler handler;
  Call own, other;
  own.id = 1, other.id = 2;
  own.answered = other.answered = true;
  own.answer.ns = other.answer.ns = 20;
  own.sent.ns = other.sent.ns = 10;
  const auto end_with = [&](Call& call) {
    Progress end(handler);
    end.Send(call);
    end.ReadUntil(30);
    return learned.EndOdds(handler, end);
  };
  CHECK(end_with(own) == 0);
  handler.ended = 1;
  for (int i = 0; i < 500; ++i) learned.ends.Add(true);
  CHECK(end_with(own) > 0.6);
  CHECK(end_with(other) < -3);
  for (int i = 0; i < 500; ++i) learned.ends.Add(i % 2 == 0);
  CHECK(end_with(other) > -1.5);
}

TEST_CASE("program: reading all answers and calling on both have their probability", "[cause]") {
  Program program;
  HandlerState called, answered;
  called.bag.Add(kFirst), called.outstanding = true;
  answered.bag.Add(kFirst);
  for (int i = 0; i < 30; ++i) program.Learn(called, kSecond, 1);
  for (int i = 0; i < 10; ++i) program.Learn(answered, kReply, 1);
  CHECK(std::exp(program.LogOfAnswers(called)) == Approx(11.0 / 42));
  CHECK(std::exp(program.LogOf(called, kSecond)) == Approx(31.0 / 42 * 30 / 30.3));
  // What is done when nothing is outstanding has no rival.
  CHECK(std::exp(program.LogOf(answered, kReply)) == Approx(10 / 10.3));
}

TEST_CASE("progress: of calls on several threads, one on the reader's own goes on from the read", "[cause]") {
  Handler handler;
  handler.begin = {1000, 7, 1, 0, 1, 0, true};
  Call elsewhere;
  elsewhere.id = 1, elsewhere.sent = {2000, 8, 5, 0, 0, 1, true};
  Progress at(handler);
  at.Send(elsewhere);
  Moment here{3000, 7, 1, 0, 1, 1, true}, there{3000, 8, 5, 0, 0, 2, true}, third{3000, 9};
  CHECK(at.Before(here).ns == 1000);
  CHECK(at.Before(there).ns == 2000);
  CHECK(at.Before(third).ns == 2000);
  elsewhere.answered = true;
  elsewhere.answer = {4000, 9, 1, 0, 1, 0, true};
  at.ReadUntil(5000);
  here.ns = 6000;
  CHECK(at.Before(here).ns == 4000);  // nothing was called since
}

}  // namespace
}  // namespace spantap
