// SPDX-License-Identifier: Apache-2.0
//
// Equal heads in a proxy's event loop: the number of loop turns from reading a request to passing it on is a constant.
#include <catch2/catch.hpp>

#include "tests/agent/link/world.h"

namespace spantap::link_test {
namespace {

constexpr uint32_t kProxy = 100;
const Headers kIn = {{"Host", "shop"}, {"User-Agent", "curl/8"}, {"Accept", "*/*"}};

Headers Out() {
  Headers head = kIn;
  head.push_back({"x-forwarded-proto", "http"});
  return head;
}

// A proxy that passes everything on one turn after reading it, and has done so before.
class Loop {
 public:
  explicit Loop(int times = 20) {
    for (int i = 0; i < times; ++i) {
      Next();
      Exchange* in = Read();
      Next();
      Exchange* out = Write();
      world.Answer(out);
      world.Answer(in);
    }
  }
  void Next() { world.Turn(++turn_); }
  Exchange* Read() { return world.Read(kProxy, 1, "/x", kIn); }
  Exchange* Write() { return world.Write(kProxy, 1, "/x", Out()); }

  World world;

 private:
  uint32_t turn_ = 0;
};

}  // namespace

TEST_CASE("turns: a request read in this turn cannot have been passed on", "[link][turns]") {
  const int times = GENERATE(20, 0);
  Loop loop(times);
  loop.Next();
  Exchange* a = loop.Read();
  loop.Next();
  Exchange* b = loop.Read();
  Exchange* of_a = loop.Write();
  loop.Next();
  Exchange* of_b = loop.Write();
  const std::vector<uint64_t> ids = {a->id, b->id, of_a->id, of_b->id};
  // The responses prove nothing: both inner ones were read before either outer one was written.
  loop.world.Respond(of_a);
  loop.world.Respond(of_b);
  loop.world.Answer(b);
  loop.world.Answer(a);
  loop.world.Finish(of_a);
  loop.world.Finish(of_b);
  loop.world.End();
  CHECK(loop.world[ids[2]].parent_span_id.valid() == (times > 0));
  if (times == 0) return;
  CHECK(loop.world.IsChild(ids[2], ids[0]));
  CHECK(loop.world.IsChild(ids[3], ids[1]));
  CHECK(loop.world[ids[2]].confidence == 0.99);
}

TEST_CASE("turns: of two that were read in one turn nothing is sure", "[link][turns]") {
  Loop loop;
  loop.Next();
  Exchange* a = loop.Read();
  Exchange* b = loop.Read();
  loop.Next();
  Exchange* of_a = loop.Write();
  Exchange* of_b = loop.Write();
  const std::vector<uint64_t> ids = {a->id, b->id, of_a->id, of_b->id};
  loop.world.Respond(of_a);
  loop.world.Respond(of_b);
  const bool agree = GENERATE(true, false);
  loop.world.Answer(agree ? a : b);
  loop.world.Answer(agree ? b : a);
  loop.world.Finish(of_a);
  loop.world.Finish(of_b);
  loop.world.End();
  CHECK(!loop.world[ids[2]].parent_span_id.valid());
  CHECK(!loop.world[ids[3]].parent_span_id.valid());
}

TEST_CASE("turns: an older request without an outgoing one makes nothing sure", "[link][turns]") {
  Loop loop;
  loop.Next();
  Exchange* waits = loop.Read();
  loop.Next();
  loop.Next();
  Exchange* a = loop.Read();
  loop.Next();
  Exchange* out = loop.Write();
  const uint64_t id = out->id;
  loop.world.Answer(out);
  loop.world.Answer(a);
  loop.world.Answer(waits);
  loop.world.End();
  CHECK_FALSE(loop.world[id].parent_span_id.valid());
}

}  // namespace spantap::link_test
