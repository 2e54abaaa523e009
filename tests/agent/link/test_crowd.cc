// SPDX-License-Identifier: Apache-2.0
//
// Identical heads open at the same time: what order and the response pair may claim, and what not.
#include <catch2/catch.hpp>

#include "tests/agent/link/world.h"

namespace spantap::link_test {
namespace {

constexpr uint32_t kEnvoy = 100;
const Headers kWrk = {{"Host", "localhost"}};
const Headers kOut = {{"Host", "localhost"}, {"x-forwarded-proto", "http"}};

// A process whose exchanges are handled by one thread each, which is known after some of them.
void Warm(World& world, uint32_t threads = 1) {
  for (int i = 0; i < 20; ++i) {
    const uint32_t tid = 1 + i % threads;
    Exchange* in = world.Read(kEnvoy, tid, "/warm" + std::to_string(i), kWrk);
    world.Answer(world.Write(kEnvoy, tid, "/warm" + std::to_string(i), kOut));
    world.Answer(in);
  }
}

}  // namespace

TEST_CASE("crowd: one after the other, order and pair are sure", "[link]") {
  World world;
  Warm(world);
  Exchange* in[16];
  Exchange* out[16];
  for (int i = 0; i < 16; ++i) {
    in[i] = world.Read(kEnvoy, 1, "/", kWrk);
    out[i] = world.Write(kEnvoy, 1, "/", kOut);
  }
  uint64_t server[16], client[16];
  for (int i = 0; i < 16; ++i) server[i] = in[i]->id, client[i] = out[i]->id;
  for (int i : {3, 1, 0, 2, 15, 14, 4, 5, 6, 7, 13, 12, 11, 10, 9, 8}) {
    world.Answer(out[i]);
    world.Answer(in[i]);
  }
  world.End();
  for (int i = 0; i < 16; ++i) {
    INFO(i);
    CHECK(world.IsChild(client[i], server[i]));
    CHECK(world[client[i]].confidence == 0.99);
  }
}

TEST_CASE("crowd: read and written in bursts, both are guesses: nothing is claimed", "[link]") {
  World world;
  Warm(world);
  Exchange* in[4];
  Exchange* out[4];
  uint64_t client[4];
  for (auto& exchange : in) exchange = world.Read(kEnvoy, 1, "/", kWrk);
  for (int i = 0; i < 4; ++i) client[i] = (out[i] = world.Write(kEnvoy, 1, "/", kOut))->id;
  for (auto& exchange : out) world.Answer(exchange);
  for (auto& exchange : in) world.Answer(exchange);
  world.End();
  for (uint64_t id : client) {
    CHECK(world[id].rule == LinkRule::kNone);
    CHECK(world[id].refused == "ambiguous");
  }
}

TEST_CASE("crowd: a burst of requests, but responses one by one", "[link]") {
  World world;
  Warm(world);
  Exchange* in[4];
  Exchange* out[4];
  uint64_t server[4], client[4];
  for (int i = 0; i < 4; ++i) server[i] = (in[i] = world.Read(kEnvoy, 1, "/", kWrk))->id;
  for (int i = 0; i < 4; ++i) client[i] = (out[i] = world.Write(kEnvoy, 1, "/", kOut))->id;
  SECTION("the order kept: the pair confirms the guess") {
    for (int i : {2, 0, 3, 1}) {
      world.Answer(out[i]);
      world.Answer(in[i]);
    }
    world.End();
    for (int i = 0; i < 4; ++i) {
      CHECK(world.IsChild(client[i], server[i]));
      CHECK(world[client[i]].confidence == 0.98);
    }
  }
  SECTION("the order not kept: the pair contradicts the guess, nothing is claimed") {
    for (int i = 0; i < 4; ++i) {
      world.Answer(out[i]);
      world.Answer(in[3 - i]);
    }
    world.End();
    for (uint64_t id : client) CHECK(world[id].refused == "ambiguous");
  }
}

TEST_CASE("crowd: responses that differ tell a burst of responses apart", "[link]") {
  World world;
  Warm(world);
  Exchange* in[3];
  Exchange* out[3];
  uint64_t server[3], client[3];
  for (int i = 0; i < 3; ++i) {
    server[i] = (in[i] = world.Read(kEnvoy, 1, "/", kWrk))->id;
    client[i] = (out[i] = world.Write(kEnvoy, 1, "/", kOut))->id;
  }
  const auto length = [](int i) { return Headers{{"content-length", std::to_string(i)}, {"etag", "\"a\""}}; };
  for (int i : {0, 1, 2}) world.Answer(out[i], 1, 200, length(i));
  for (int i : {2, 1, 0}) world.Answer(in[i], 1, 200, length(i));
  world.End();
  for (int i = 0; i < 3; ++i) CHECK(world.IsChild(client[i], server[i]));
}

TEST_CASE("crowd: a retry between two identical requests misleads nobody", "[link]") {
  World world;
  Warm(world);
  Exchange* first = world.Read(kEnvoy, 1, "/", kWrk);
  Exchange* try1 = world.Write(kEnvoy, 1, "/", kOut);
  const uint64_t first_id = first->id, try1_id = try1->id;
  world.Answer(try1, 1, 503);
  Exchange* second = world.Read(kEnvoy, 1, "/", kWrk);
  const uint64_t second_id = second->id;
  Exchange* try2 = world.Write(kEnvoy, 1, "/", kOut);  // of `first`
  Exchange* own = world.Write(kEnvoy, 1, "/", kOut);   // of `second`
  const uint64_t try2_id = try2->id, own_id = own->id;
  world.Answer(try2);
  world.Answer(first);
  world.Answer(own);
  world.Answer(second);
  world.End();
  CHECK(world.IsChild(try1_id, first_id));
  CHECK((world[try2_id].rule == LinkRule::kNone || world.IsChild(try2_id, first_id)));
  CHECK((world[own_id].rule == LinkRule::kNone || world.IsChild(own_id, second_id)));
}

TEST_CASE("crowd: a lost response claims nothing wrong", "[link]") {
  World world;
  Warm(world);
  Exchange* in[4];
  Exchange* out[4];
  uint64_t server[4], client[4];
  for (int i = 0; i < 4; ++i) {
    server[i] = (in[i] = world.Read(kEnvoy, 1, "/", kWrk))->id;
    client[i] = (out[i] = world.Write(kEnvoy, 1, "/", kOut))->id;
  }
  // out[0]'s response is not seen; in[0] is answered when only out[1]'s has been read.
  world.Respond(out[1]);
  world.Answer(in[0]);
  world.Answer(in[1]);
  for (int i : {2, 3}) {
    world.Answer(out[i]);
    world.Answer(in[i]);
  }
  world.Finish(out[1]);
  world.Finish(out[0], ExchangeError::kUnfinished);
  world.End();
  for (int i = 0; i < 4; ++i) {
    CHECK((world[client[i]].rule == LinkRule::kNone || world.IsChild(client[i], server[i])));
  }
}

TEST_CASE("crowd: a process that hands requests between threads claims nothing", "[link]") {
  World world;
  Warm(world, 2);
  Exchange* crossing = world.Read(kEnvoy, 1, "/once", kWrk);
  world.Answer(crossing, 2);
  Exchange* in[4];
  Exchange* out[4];
  uint64_t client[4];
  for (int i = 0; i < 4; ++i) {
    in[i] = world.Read(kEnvoy, 1 + i % 2, "/", kWrk);
    client[i] = (out[i] = world.Write(kEnvoy, 1, "/", kOut))->id;
  }
  for (int i = 0; i < 4; ++i) {
    world.Answer(out[i]);
    world.Answer(in[i]);
  }
  world.End();
  // The first was alone when it was sent.
  CHECK(world[client[0]].rule == LinkRule::kProxy);
  for (int i = 1; i < 4; ++i) CHECK(world[client[i]].refused == "ambiguous");
}

TEST_CASE("crowd: worker threads are told apart", "[link]") {
  World world;
  Warm(world, 2);
  Exchange* in[2];
  Exchange* out[2];
  uint64_t server[2], client[2];
  for (uint32_t i = 0; i < 2; ++i) server[i] = (in[i] = world.Read(kEnvoy, 1 + i, "/", kWrk))->id;
  for (uint32_t i = 0; i < 2; ++i) client[i] = (out[i] = world.Write(kEnvoy, 2 - i, "/", kOut))->id;
  for (int i = 0; i < 2; ++i) world.Answer(out[i]);
  for (int i = 0; i < 2; ++i) world.Answer(in[i]);
  world.End();
  CHECK(world.IsChild(client[0], server[1]));
  CHECK(world.IsChild(client[1], server[0]));
}

TEST_CASE("crowd: nothing is left behind when everything is aborted", "[link]") {
  World world;
  for (int round = 0; round < 3; ++round) {
    Exchange* in[8];
    Exchange* out[8];
    for (int i = 0; i < 8; ++i) {
      in[i] = world.Read(kEnvoy, 1 + i % 3, "/", kWrk);
      out[i] = world.Write(kEnvoy, 1 + i % 2, "/", kOut);
    }
    for (int i = 0; i < 8; ++i) {
      if (i % 3 == round) world.Respond(out[i]);
      world.Finish(in[i], ExchangeError::kConnectionReset);
      world.Finish(out[i], ExchangeError::kResponseAborted);
    }
  }
  world.Pass(5000);
  CHECK(world.delivered() == 48);
}

}  // namespace spantap::link_test
