// SPDX-License-Identifier: Apache-2.0
//
// Equal heads in a proxy's event loop: what the turns of requests and responses tell, and the connections they take.
#include <catch2/catch.hpp>

#include <memory>
#include <vector>

#include "tests/agent/link/world.h"

namespace spantap::link_test {
namespace {

constexpr uint32_t kProxy = 100;
constexpr uint32_t kWorker = 1;
const Headers kIn = {{"Host", "shop"}, {"User-Agent", "curl/8"}, {"Accept", "*/*"}};

Headers Out() {
  Headers head = kIn;
  head.push_back({"x-forwarded-proto", "http"});
  return head;
}

// A proxy that passes everything on one turn after reading it, and has done so before. Connections are numbered; `b`
// always comes free after `a` did, so it is what is taken first.
class Loop {
 public:
  explicit Loop(int times = 20) : a_(world.Connect(kProxy, 0)), b_(world.Connect(kProxy, 0)) {
    for (int i = 0; i < times; ++i) {
      Next();
      Exchange* in = Read("/one");
      Next();
      Exchange* out = Write(i % 2 == 0 ? a_ : b_, "/one");
      Next();
      world.Answer(out);
      Next();
      world.Answer(in);
    }
  }
  // Two different requests in one turn, of which the first takes what came free last (or first).
  void LearnPool(bool latest_first, int times = 10) {
    for (int i = 0; i < times; ++i) {
      Next();
      Exchange* x = Read("/x" + std::to_string(i));
      Exchange* y = Read("/y" + std::to_string(i));
      Next();
      Exchange* of_x = Write(latest_first ? b_ : a_, "/x" + std::to_string(i));
      Exchange* of_y = Write(latest_first ? a_ : b_, "/y" + std::to_string(i));
      Next();
      world.Answer(latest_first ? of_y : of_x);
      world.Answer(latest_first ? of_x : of_y);
      Next();
      world.Answer(x);
      world.Answer(y);
    }
  }
  void Next() { world.Turn(++turn_); }
  Exchange* Read(const std::string& target = "/same") { return world.Read(kProxy, kWorker, target, kIn); }
  Exchange* Write(Tcp& tcp, const std::string& target = "/same") {
    return world.Write(tcp.client, kWorker, target, Out());
  }
  Exchange* WriteA() { return Write(a_); }
  Exchange* WriteB() { return Write(b_); }

  World world;
  Tcp a_, b_;

 private:
  uint32_t turn_ = 0;
};

// Two equal requests, `s` and `t`, and what was sent for them. Ids survive the exchanges.
struct Two {
  Exchange *s = nullptr, *t = nullptr, *of_s = nullptr, *of_t = nullptr;
  uint64_t ids[4] = {};
  void Keep() { ids[0] = s->id, ids[1] = t->id, ids[2] = of_s->id, ids[3] = of_t->id; }
  bool Right(const World& world) const { return world.IsChild(ids[2], ids[0]) && world.IsChild(ids[3], ids[1]); }
  bool Open(const World& world) const {
    return world[ids[2]].rule == LinkRule::kNone && world[ids[3]].rule == LinkRule::kNone;
  }
};

// Both read in one turn; `s` takes the connection that came free last.
Two Together(Loop& loop, bool written_in_order) {
  Two two;
  loop.Next();
  two.s = loop.Read();
  two.t = loop.Read();
  loop.Next();
  if (written_in_order) two.of_s = loop.WriteB();
  two.of_t = loop.WriteA();
  if (!written_in_order) two.of_s = loop.WriteB();
  two.Keep();
  return two;
}

// Both answered in one turn, `first` first.
void AnswerTogether(Loop& loop, Exchange* inner_first, Exchange* inner_second, Exchange* first, Exchange* second) {
  loop.Next();
  loop.world.Answer(inner_first);
  loop.world.Answer(inner_second);
  loop.Next();
  loop.world.Answer(first);
  loop.world.Answer(second);
  loop.world.End();
}

}  // namespace

TEST_CASE("turns: what a turn writes was read in the turn before", "[link][turns]") {
  const int times = GENERATE(20, 0);
  Loop loop(times);
  Two two;
  loop.Next();
  two.s = loop.Read();
  loop.Next();
  two.t = loop.Read();
  two.of_s = loop.WriteA();
  loop.Next();
  two.of_t = loop.WriteB();
  two.Keep();
  // Order says nothing: both responses are read before one is passed on, and that of the second one first.
  AnswerTogether(loop, two.of_s, two.of_t, two.t, two.s);
  if (times == 0) {
    CHECK(two.Open(loop.world));
    return;
  }
  CHECK(two.Right(loop.world));
  CHECK(loop.world[two.ids[2]].confidence == 0.99);
}

TEST_CASE("turns: read together, but answered in different turns", "[link][turns]") {
  Loop loop;
  Two two = Together(loop, GENERATE(true, false));
  loop.Next();
  loop.world.Answer(two.of_t);
  loop.Next();
  loop.world.Answer(two.of_s);
  loop.world.Answer(two.t);
  loop.Next();
  loop.world.Answer(two.s);
  loop.world.End();
  CHECK(two.Right(loop.world));
  CHECK(loop.world[two.ids[2]].confidence == 0.99);
  CHECK(loop.world[two.ids[3]].confidence == 0.99);
}

TEST_CASE("turns: read together and answered together, the connection and an order tell", "[link][turns]") {
  const bool written_in_order = GENERATE(true, false);
  const bool answered_in_order = GENERATE(true, false);
  const int learned = GENERATE(10, 0);
  CAPTURE(written_in_order, answered_in_order, learned);
  Loop loop;
  loop.LearnPool(true, learned);
  Two two = Together(loop, written_in_order);
  AnswerTogether(loop, two.of_s, two.of_t, answered_in_order ? two.s : two.t, answered_in_order ? two.t : two.s);
  const bool enough = learned > 0 ? written_in_order || answered_in_order : written_in_order && answered_in_order;
  CHECK(two.Right(loop.world) == enough);
  CHECK(two.Open(loop.world) == !enough);
  // What is left then is alone.
  if (enough) CHECK(loop.world[two.ids[2]].confidence + loop.world[two.ids[3]].confidence == Approx(0.98 + 0.99));
}

TEST_CASE("turns: a pool that gives another connection than the latest tells nothing", "[link][turns]") {
  Loop loop;
  loop.LearnPool(false);
  Two two = Together(loop, true);
  AnswerTogether(loop, two.of_s, two.of_t, two.s, two.t);
  CHECK(two.Open(loop.world));
}

TEST_CASE("turns: connections to different upstreams cannot be compared", "[link][turns]") {
  Loop loop;
  loop.LearnPool(true);
  loop.b_.client.endpoint.peer_port = 81;
  Two two = Together(loop, true);
  AnswerTogether(loop, two.of_s, two.of_t, two.s, two.t);
  CHECK(two.Open(loop.world));
}

TEST_CASE("turns: a response that was not seen makes nothing sure in its turn", "[link][turns]") {
  const bool lost = GENERATE(true, false);
  Loop loop;
  Two two = Together(loop, false);
  loop.Next();
  loop.world.Answer(two.of_t);
  if (lost) loop.world.Miss(kWorker);
  loop.Next();
  loop.world.Answer(two.t);
  if (!lost) loop.world.Answer(two.of_s);
  loop.Next();
  loop.world.Answer(two.s);
  loop.world.End();
  CHECK(two.Right(loop.world) == !lost);
  if (lost) CHECK(loop.world[two.ids[3]].rule == LinkRule::kNone);
}

TEST_CASE("turns: while an older request waits, no turn is sure", "[link][turns]") {
  Loop loop;
  loop.Next();
  Exchange* waits = loop.Read();
  loop.Next();
  loop.Next();
  Exchange* other = loop.Read();
  loop.Next();
  Exchange* out = loop.WriteA();
  const uint64_t id = out->id;
  loop.Next();
  loop.world.Answer(out);
  loop.Next();
  loop.world.Answer(other);
  loop.world.Answer(waits);
  loop.world.End();
  CHECK_FALSE(loop.world[id].parent_span_id.valid());
}

TEST_CASE("turns: connections dialled in one turn carry what was read before each was dialled", "[link][turns]") {
  const bool other_way = GENERATE(false, true);
  Loop loop;
  Two two;
  Tcp tcp[2] = {loop.world.Connect(kProxy, 0), loop.world.Connect(kProxy, 0)};
  loop.Next();
  two.s = loop.Read();
  tcp[other_way].client.dial = loop.world.Dial(kWorker);
  two.t = loop.Read();
  tcp[!other_way].client.dial = loop.world.Dial(kWorker);
  loop.Next();
  two.of_s = loop.Write(tcp[0]);
  two.of_t = loop.Write(tcp[1]);
  two.Keep();
  AnswerTogether(loop, two.of_s, two.of_t, two.s, two.t);
  CHECK(two.Right(loop.world) == !other_way);
  CHECK(two.Open(loop.world) == other_way);
}

TEST_CASE("turns: a new connection carries what waits when it is there", "[link][turns]") {
  Loop loop;
  loop.LearnPool(true);
  loop.Next();
  Exchange* first = loop.Read();
  Tcp dialled = loop.world.Connect(kProxy, 0);
  dialled.client.dial = loop.world.Dial(kWorker);
  loop.Next();
  // The first one got a connection that came free; the new one has the second one's request at once.
  Exchange* second = loop.Read();
  Exchange* of_second = loop.Write(dialled);
  loop.Next();
  Exchange* of_first = loop.WriteB();
  const uint64_t ids[] = {first->id, second->id, of_first->id, of_second->id};
  loop.Next();
  loop.world.Answer(of_first);
  loop.world.Answer(of_second);
  loop.Next();
  loop.world.Answer(first);
  loop.world.Answer(second);
  loop.world.End();
  for (int i : {0, 1}) {
    CHECK((loop.world[ids[2 + i]].rule == LinkRule::kNone || loop.world.IsChild(ids[2 + i], ids[i])));
  }
}

}  // namespace spantap::link_test
