// SPDX-License-Identifier: Apache-2.0
//
// When trees are delivered, in which order, and what happens at every limit.
#include <catch2/catch.hpp>

#include <random>
#include <string>

#include "tests/agent/link/world.h"

namespace spantap::link_test {
namespace {

constexpr uint32_t kProxy = 100;
constexpr uint32_t kApp = 200;

// Everything that is delivered, as text.
std::string Describe(const World& world) {
  std::string text;
  for (const auto& tree : world.trees()) {
    for (const LinkedExchange& linked : tree) {
      text += std::to_string(linked.exchange->id) + " " + FormatHex(linked.trace_id) + " " + FormatHex(linked.span_id) +
              " " + FormatHex(linked.parent_span_id) + " " + std::string(LinkRuleName(linked.rule)) + " " +
              std::to_string(linked.confidence) + "\n";
    }
    text += "\n";
  }
  return text;
}

// A proxy before an application, random in everything.
void RunRandom(World& world, uint64_t seed, int steps) {
  std::mt19937_64 dice(seed);
  std::vector<Exchange*> open;
  std::vector<Tcp> connections;
  for (int i = 0; i < 8; ++i) connections.push_back(world.Connect(kProxy, kApp));
  const Headers heads[] = {{{"host", "a"}, {"accept", "*/*"}},
                           {{"host", "a"}, {"x-request-id", "11111111-2222-4333-8444-555555555555"}},
                           {{"host", "a"}, {"traceparent", Parent('a', 'b')}},
                           {{"host", "a"}, {"traceparent", Parent('c', "0123456789abcdef"[seed % 15 + 1])}}};
  for (int i = 0; i < steps; ++i) {
    const Headers& head = heads[dice() % 4];
    const uint32_t tid = 1 + static_cast<uint32_t>(dice() % 3);
    const std::string target = "/" + std::to_string(dice() % 5);
    Tcp& tcp = connections[dice() % connections.size()];
    switch (dice() % 7) {
      case 0:
        open.push_back(world.Read(kProxy, tid, target, head));
        break;
      case 1:
        open.push_back(world.Write(tcp.client, tid, target, head));
        break;
      case 2:
        open.push_back(world.Read(tcp.server, tid, target, head));
        break;
      case 3:
        open.push_back(world.Write(kApp, tid, target, head));
        break;
      case 4:
        world.Pass(dice() % 100);
        break;
      default:
        if (open.empty()) break;
        std::swap(open[dice() % open.size()], open.back());
        if (dice() % 4 != 0) world.Respond(open.back(), dice() % 2 ? tid : 0, dice() % 3 ? 200 : 503);
        if (dice() % 4 != 0) {
          world.Finish(open.back(), dice() % 8 ? ExchangeError::kNone : ExchangeError::kUnfinished);
          open.pop_back();
        }
    }
  }
  world.End();
}

}  // namespace

TEST_CASE("delivery: the same input gives the same output", "[link]") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    World first, second;
    RunRandom(first, seed, 1500);
    RunRandom(second, seed, 1500);
    REQUIRE(first.delivered() > 500);
    REQUIRE(Describe(first) == Describe(second));
  }
}

TEST_CASE("delivery: every exchange once, ids unique, parents before children, one trace a tree", "[link]") {
  const size_t limit = GENERATE(5u, 40u, 65536u);
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    LinkSettings settings;
    settings.max_exchanges = limit;
    World world(settings);
    RunRandom(world, seed, 1500);
    std::map<SpanId, uint64_t> spans;
    size_t count = 0;
    for (const auto& tree : world.trees()) {
      REQUIRE_FALSE(tree.empty());
      uint64_t last_start = 0;
      for (const LinkedExchange& linked : tree) {
        ++count;
        CHECK(linked.exchange->finished());
        CHECK(linked.span_id.valid());
        CHECK(spans.emplace(linked.span_id, linked.exchange->id).second);
        CHECK(linked.trace_id == tree[0].trace_id);
        if (linked.rule == LinkRule::kNone) CHECK_FALSE(linked.parent_span_id.valid());
        if (linked.parent_span_id.valid() && !linked.parent_is_remote && linked.depth > 0) {
          // In this part, or in an earlier one.
          const LinkedExchange* parent = nullptr;
          for (const LinkedExchange& other : tree) {
            if (other.span_id == linked.parent_span_id) parent = &other;
          }
          if (parent != nullptr) CHECK(parent < &linked);
        }
        if (linked.depth == 0) CHECK(linked.exchange->request_stamp.mono_ns >= last_start);
      }
    }
    CHECK(count == world.delivered());
    uint64_t linked = 0;
    for (uint64_t rule : world.counters().linked) linked += rule;
    CHECK(linked + world.counters().roots == count);
    if (limit == 5) CHECK(world.counters().forced > 0);
  }
}

TEST_CASE("delivery: a finished child does not wait for a long request beyond the limit", "[link]") {
  World world;
  Exchange* in = world.Read(kApp, 1, "/stream", {});
  world.Answer(world.Write(kApp, 1, "/db", {}));
  world.Pass(1900);
  CHECK(world.delivered() == 0);
  world.Pass(200);
  REQUIRE(world.delivered() == 1);
  CHECK(world.counters().parts == 1);
  // What comes later is consistent with what was said.
  Exchange* later = world.Write(kApp, 1, "/db2", {{"traceparent", Parent('a', 'b')}});
  world.Answer(later);
  world.Answer(in);
  world.Pass(100);
  REQUIRE(world.delivered() == 3);
  CHECK(world.IsChild(2, 1));
  CHECK(world.IsChild(3, 1));
  CHECK(FormatHex(world[3].wire_trace_id) == std::string(32, 'a'));
}

TEST_CASE("delivery: an endless request with many calls holds no memory for those delivered", "[link]") {
  LinkSettings settings;
  settings.max_exchanges = 50;
  World world(settings);
  Exchange* in = world.Read(kApp, 1, "/stream", {});
  for (int i = 0; i < 500; ++i) {
    world.Answer(world.Write(kApp, 1, "/db" + std::to_string(i % 7), {}));
    world.Pass(100);
  }
  CHECK(world.delivered() > 450);
  world.Answer(in);
  world.End();
  CHECK(world.delivered() == 501);
  CHECK(world.counters().forced == 0);
  for (uint64_t id = 2; id <= 501; ++id) CHECK(world.IsChild(id, 1));
}

TEST_CASE("delivery: a table full of open exchanges still reports every one", "[link]") {
  LinkSettings settings;
  settings.max_exchanges = 10;
  World world(settings);
  std::vector<Exchange*> open;
  for (int i = 0; i < 30; ++i) open.push_back(world.Read(kApp, 1, "/a", {}));
  for (Exchange* exchange : open) world.Answer(exchange);
  world.End();
  CHECK(world.delivered() == 30);
  CHECK(world.counters().forced >= 20);
}

TEST_CASE("delivery: a circle of proxies ends somewhere", "[link]") {
  World world;
  std::vector<Exchange*> open;
  Tcp tcp = world.Connect(kProxy, kProxy);
  for (int i = 0; i < 400; ++i) {
    Headers head = {{"traceparent", "00-" + std::string(32, 'a') + "-0000000000" + std::to_string(100000 + i) + "-01"}};
    open.push_back(world.Write(tcp.client, 1, "/loop", head));
    open.push_back(world.Read(tcp.server, 1, "/loop", head));
  }
  while (!open.empty()) {
    world.Answer(open.back());
    open.pop_back();
  }
  world.End();
  CHECK(world.delivered() == 800);
  for (const auto& tree : world.trees()) CHECK(tree.size() <= 800);
}

TEST_CASE("delivery: exchanges out of order, halves that never come, two ends of nothing", "[link]") {
  World world;
  Tcp tcp = world.Connect(kProxy, kApp);
  Exchange* server = world.Read(tcp.server, 1, "/a", {});
  Exchange* server2 = world.Read(tcp.server, 1, "/b", {});
  world.Answer(server2);
  Exchange* client = world.Write(tcp.client, 1, "/a", {});
  world.Finish(client, ExchangeError::kConnectionReset);
  world.Finish(server, ExchangeError::kRequestAborted);
  world.Pass(100);
  CHECK(world.delivered() == 3);
  CHECK(world.IsChild(1, 3));
  CHECK(world[2].rule == LinkRule::kNone);
}

TEST_CASE("delivery: a response given up half-way ends with what it was made from, not with the delayed close",
          "[link]") {
  World world;
  Exchange* server = world.Read(kProxy, 1, "/cut", {});
  Exchange* client = world.Write(kProxy, 1, "/cut", {});
  world.Respond(client);
  world.Respond(server);
  world.Finish(client, ExchangeError::kResponseAborted);
  const uint64_t given_up_ns = world.now_ns();
  world.Pass(1000);
  world.Finish(server, ExchangeError::kResponseAborted);
  Exchange* alone = world.Read(kApp, 1, "/cut", {});
  world.Respond(alone);
  world.Pass(1000);
  world.Finish(alone, ExchangeError::kResponseAborted);
  const uint64_t closed_ns = world.now_ns();
  world.Pass(1000);
  REQUIRE(world.IsChild(2, 1));
  CHECK(world[1].exchange->end_ns == given_up_ns);
  CHECK(world[3].exchange->end_ns == closed_ns);
}

TEST_CASE("delivery: a process that ends is forgotten", "[link]") {
  World world;
  for (int i = 0; i < 20; ++i) {
    Exchange* a = world.Read(kApp, 1, "/a", {});
    Exchange* b = world.Read(kApp, 1, "/b", {});  // an event loop
    world.Answer(a);
    world.Answer(b);
  }
  world.Pass(1000);
  world.linker().OnProcessEnd(kApp);
  for (int i = 0; i < 20; ++i) {
    Exchange* a = world.Read(kApp, 1, "/a", {});
    Exchange* b = world.Read(kApp, 2, "/b", {});  // a thread-per-request server with the same pid
    Exchange* out = world.Write(kApp, 2, "/db", {});
    const uint64_t in_id = b->id, out_id = out->id;
    for (Exchange* exchange : {out, b, a}) world.Answer(exchange);
    world.Pass(1000);
    if (i > 16) CHECK(world.IsChild(out_id, in_id));
  }
}

}  // namespace spantap::link_test
