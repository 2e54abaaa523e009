// SPDX-License-Identifier: Apache-2.0
//
// What the linker makes of the cause finder: what it tells it and when, what it holds back for it, what it draws. The
// finder is played by the test.
#include <catch2/catch.hpp>
#include <set>

#include "agent/link/linker.h"
#include "tests/agent/link/handing.h"
#include "tests/agent/link/world.h"

namespace spantap::link_test {
namespace {

constexpr uint32_t kApp = 7;
constexpr uint32_t kLoop = 70;  // its only thread

// Decides and releases what the test says, remembers what it was told.
struct Played final : CauseFinder {
  Played() : CauseFinder({}) {}
  void OnIncoming(uint32_t, IncomingRequest request) override { incoming.push_back(request); }
  void OnOutgoing(uint32_t, OutgoingRequest request) override { outgoing.push_back(request); }
  void OnResponse(uint32_t, uint64_t id, const Moment& at) override { responses[id] = at; }
  void OnOver(uint32_t, uint64_t id, uint64_t) override { over.insert(id); }
  void OnKnown(uint32_t, uint64_t out, uint64_t in) override { known[out] = in; }
  void OnProcessEnd(uint32_t tgid) override { ended.push_back(tgid); }
  void OnTime(uint64_t ns) override { now_ns = ns; }
  void Flush() override { decisions = std::move(at_flush); }
  std::vector<CauseDecision> TakeDecisions() override { return std::exchange(decisions, {}); }
  std::vector<uint64_t> TakeReleased() override { return std::exchange(released, {}); }
  const CauseCounters& counters() const override { return counted; }

  void Decide(uint64_t out, uint64_t in, double confidence, const char* reason = "",
              CauseRule rule = CauseRule::kProgram) {
    decisions.push_back(Make(out, in, confidence, reason, rule));
  }
  static CauseDecision Make(uint64_t out, uint64_t in, double confidence, const char* reason, CauseRule rule) {
    CauseDecision decision;
    decision.tgid = kApp;
    decision.outgoing = out;
    decision.incoming = in;
    decision.confidence = confidence;
    decision.rule = rule;
    decision.reason = reason;
    return decision;
  }

  std::vector<IncomingRequest> incoming;
  std::vector<OutgoingRequest> outgoing;
  std::map<uint64_t, Moment> responses;
  std::set<uint64_t> over;
  std::map<uint64_t, uint64_t> known;
  std::vector<uint32_t> ended;
  uint64_t now_ns = 0;
  std::vector<CauseDecision> decisions, at_flush;
  std::vector<uint64_t> released;
  CauseCounters counted;
};

// An event loop that serves two requests at once and has sent one: exchanges 1, 2 and 3.
struct Loop {
  explicit Loop(const LinkSettings& settings = {}) : finder(new Played), world(settings, 1, Owned()) {
    first = world.Read(kApp, kLoop, "/first");
    second = world.Read(kApp, kLoop, "/second");
    client = world.Write(kApp, kLoop, "/call");
  }
  std::unique_ptr<CauseFinder> Owned() { return std::unique_ptr<CauseFinder>(finder); }
  void AnswerAll() {
    world.Answer(client, kLoop);
    world.Answer(second, kLoop);
    world.Answer(first, kLoop);
  }

  Played* finder;
  World world;
  Exchange *first, *second, *client;
};

uint64_t RefusedFor(const LinkCounters& counters, absl::string_view reason) {
  for (const auto& [name, count] : counters.refused) {
    if (name == reason) return count;
  }
  return 0;
}

}  // namespace

TEST_CASE("cause: what no rule claims waits for the finder, and so do the requests it may name") {
  Loop loop;
  World& world = loop.world;
  loop.AnswerAll();
  world.Pass(100);
  CHECK(world.delivered() == 0);
  const auto [rule, linked] = GENERATE(std::make_pair(CauseRule::kProgram, LinkRule::kProgram),
                                       std::make_pair(CauseRule::kToken, LinkRule::kToken),
                                       std::make_pair(CauseRule::kJoint, LinkRule::kJoint));
  loop.finder->Decide(3, 2, 0.96, "", rule);
  world.Pass(1);
  CHECK(world.delivered() == 0);  // both may still be named

  loop.finder->released = {1};
  world.Pass(100);
  CHECK(world.delivered() == 1);
  CHECK(world[1].rule == LinkRule::kNone);
  loop.finder->released = {2};
  world.Pass(100);
  REQUIRE(world.delivered() == 3);
  CHECK(world.IsChild(3, 2));
  CHECK(world[3].rule == linked);
  CHECK(world[3].confidence == 0.96);
  CHECK(world[3].refused == "");
  CHECK(world.trees().size() == 2);
  CHECK(world.counters().linked[static_cast<size_t>(linked)] == 1);
  CHECK(loop.finder->known.empty());
}

TEST_CASE("cause: the finder is told what crossed the boundary, and when") {
  Loop loop;
  const Played& finder = *loop.finder;
  REQUIRE(finder.incoming.size() == 2);
  REQUIRE(finder.outgoing.size() == 1);
  CHECK(finder.incoming[0].id == 1);
  CHECK(finder.incoming[0].at.tid == kLoop);
  CHECK(finder.incoming[0].at.ns == loop.first->request_stamp.end_mono_ns);
  CHECK_FALSE(finder.incoming[0].at.counted);
  CHECK(finder.outgoing[0].id == 3);
  CHECK(finder.outgoing[0].at.ns == loop.client->request_stamp.mono_ns);
  CHECK(finder.outgoing[0].connection == loop.client->endpoint.conn_id);
  loop.AnswerAll();
  CHECK(finder.responses.size() == 3);
  CHECK(finder.responses.at(3).tid == kLoop);
  CHECK(finder.over == std::set<uint64_t>{1, 2, 3});
  loop.world.Pass(1);
  CHECK(finder.now_ns == loop.world.now_ns());

  // The counters of the kernel; a head that is read counts from its last byte, a written one from its first.
  Tcp tcp = loop.world.Connect(0, kApp);
  auto exchange = std::make_unique<Exchange>();
  exchange->id = 10;
  exchange->tgid = kApp;
  exchange->endpoint = tcp.server.endpoint;
  exchange->request = MakeHead({"GET", "/x"}, {});
  exchange->request_stamp = {1000, 3000, 1, kLoop, true, {11, 12, 13, 14, 15}};
  loop.world.linker().OnRequest(*exchange);
  const Moment& at = finder.incoming.back().at;
  CHECK(at.ns == 3000);
  CHECK(at.counted);
  CHECK(at.turn == 11);
  CHECK(at.burst == 12);
  CHECK(at.reads == 14);
  CHECK(at.writes == 15);
  exchange->end_ns = 4000;
  loop.world.linker().OnFinished(std::move(exchange));
}

TEST_CASE("cause: a request is sent when its connection is dialled for it") {
  struct Row {
    int64_t before_ns;
    uint32_t tid;
    bool counts;
  };
  const Row row = GENERATE(Row{19'000'000, 5, true}, Row{20'000'000, 5, false}, Row{-1, 5, false}, Row{1000, 0, false});
  Loop loop;
  Tcp tcp = loop.world.Connect(kApp, 0);
  auto exchange = std::make_unique<Exchange>();
  exchange->id = 10;
  exchange->role = Role::kClient;
  exchange->tgid = kApp;
  exchange->endpoint = tcp.client.endpoint;
  exchange->request = MakeHead({"GET", "/x"}, {});
  const uint64_t sent_ns = loop.world.now_ns();
  exchange->request_stamp = {sent_ns, sent_ns, 1, kLoop, true, {11, 12, 13, 14, 15}};
  const uint64_t dialled_ns = sent_ns - static_cast<uint64_t>(row.before_ns);
  exchange->dial = HeadStamp{dialled_ns, dialled_ns, 1, row.tid, true, {1, 2, 3, 4, 5}};
  loop.world.linker().OnRequest(*exchange);
  const Moment& at = loop.finder->outgoing.back().at;
  CHECK(at.ns == (row.counts ? dialled_ns : sent_ns));
  CHECK(at.tid == (row.counts ? row.tid : kLoop));
  CHECK(at.turn == (row.counts ? 1 : 11));
  exchange->end_ns = sent_ns;
  loop.world.linker().OnFinished(std::move(exchange));
}

TEST_CASE("cause: calls are told apart by host and method, not by the ids in their paths") {
  Played* const finder = new Played;
  World world({}, 1, std::unique_ptr<CauseFinder>(finder));
  world.Read(kApp, kLoop, "/order/1001");
  world.Read(kApp, kLoop, "/order/1002");
  world.Read(kApp, kLoop, "/user/1002");
  REQUIRE(finder->incoming.size() == 3);
  CHECK(finder->incoming[0].route == finder->incoming[1].route);
  CHECK(finder->incoming[0].route != finder->incoming[2].route);
  world.Write(kApp, kLoop, "/stock/17", {{"host", "stock"}});
  world.Write(kApp, kLoop, "/stock/18", {{"host", "stock"}});
  world.Write(kApp, kLoop, "/stock/17", {{"host", "store"}});
  REQUIRE(finder->outgoing.size() == 3);
  CHECK(finder->outgoing[0].call == finder->outgoing[1].call);
  CHECK(finder->outgoing[0].call != finder->outgoing[2].call);
  CHECK(finder->outgoing[0].destination == finder->outgoing[2].destination);
}

TEST_CASE("cause: below the threshold it is a root, and says why") {
  struct Row {
    double threshold, confidence;
    const char* given;
    const char* refused;
  };
  const Row row = GENERATE(Row{0.9, 0.85, "close", "close"}, Row{0.97, 0.95, "", "low_confidence"},
                           Row{0.9, 0, "", "no_evidence"}, Row{0.9, 0, "overflow", "overflow"});
  LinkSettings settings;
  settings.threshold = row.threshold;
  Loop loop(settings);
  loop.AnswerAll();
  loop.finder->Decide(3, row.confidence == 0 ? 0 : 2, row.confidence, row.given);
  loop.finder->released = {1, 2};
  loop.world.Pass(100);
  REQUIRE(loop.world.delivered() == 3);
  CHECK(loop.world[3].rule == LinkRule::kNone);
  CHECK(loop.world[3].refused == row.refused);
  CHECK(RefusedFor(loop.world.counters(), row.refused) == 1);
}

TEST_CASE("cause: nothing is held for a decision that nobody waits for") {
  Played* const finder = new Played;
  World world({}, 1, std::unique_ptr<CauseFinder>(finder));
  Exchange* const first = world.Read(kApp, kLoop, "/first");
  Exchange* const call = world.Write(kApp, kLoop, "/call");  // rule `calm` knows
  Exchange* const second = world.Read(kApp, kLoop, "/second");
  for (Exchange* const exchange : {second, call, first}) world.Answer(exchange);
  world.Pass(100);
  CHECK(world.delivered() == 3);
  CHECK(finder->over.size() == 3);
}

TEST_CASE("cause: the finder learns from what other rules know") {
  Played* const finder = new Played;
  World world({}, 1, std::unique_ptr<CauseFinder>(finder));
  // Sent while nothing is served: nobody's, and often enough no other's either.
  for (int i = 0; i < 3; ++i) world.Answer(world.Write(kApp, kLoop, "/poll"));
  CHECK(finder->outgoing.empty());
  Exchange* const server = world.Read(kApp, kLoop, "/only");
  Exchange* const call = world.Write(kApp, kLoop, "/call");
  Exchange* const poll = world.Write(kApp, kLoop, "/poll");
  CHECK(finder->outgoing.size() == 2);
  CHECK(finder->known == std::map<uint64_t, uint64_t>{{5, 4}, {6, 0}});
  world.Answer(poll);
  world.Answer(call);
  world.Answer(server);
  finder->released = {4};
  world.Pass(100);
  CHECK(world[5].rule == LinkRule::kCalm);
  CHECK(world[6].refused == "background");
}

TEST_CASE("cause: a proxy's requests are not the finder's") {
  Played* const finder = new Played;
  World world({}, 1, std::unique_ptr<CauseFinder>(finder));
  const Headers headers = {{"host", "a"}, {"accept", "*/*"}, {"x-a", "1"}};
  for (int i = 0; i < 20; ++i) {
    const std::string target = "/item/" + std::to_string(i);
    Exchange* const server = world.Read(kApp, kLoop, target, headers);
    Headers passed = headers;
    passed.emplace_back("x-forwarded-for", "10.0.0.1");
    Exchange* const client = world.Write(kApp, kLoop, target, passed);
    world.Answer(client);
    world.Answer(server);
  }
  CHECK(finder->incoming.size() == 1);
  CHECK(finder->known.size() == 1);
  world.Pass(100);
  CHECK(world.delivered() == 40);
}

TEST_CASE("turns: not of a proxy, unless equal heads crowd in it") {
  World world;
  const auto told = [](bool needed) { return std::make_pair(kApp, needed); };
  const auto run = [&world](int times, bool passes_on, bool crowd = false) {
    for (int i = 0; i < times; ++i) {
      Exchange* const other = crowd ? world.Read(kApp, kLoop, "/a", {{"host", "a"}}) : nullptr;
      Exchange* const server = world.Read(kApp, kLoop, "/a", {{"host", "a"}});
      Exchange* const client = world.Write(kApp, kLoop, passes_on ? "/a" : "/other", {{"host", "a"}});
      world.Answer(client);
      world.Answer(server);
      if (other != nullptr) world.Answer(other);
    }
  };
  SECTION("one whose heads agree, until they do not") {
    run(255, true);
    CHECK(world.turns().empty());
    run(5, true);
    REQUIRE(world.turns().size() == 1);
    CHECK(world.turns()[0] == told(false));
    run(60, false);
    CHECK(world.turns().size() == 1);  // not settled
    run(300, false);
    REQUIRE(world.turns().size() == 2);
    CHECK(world.turns()[1] == told(true));
  }
  SECTION("one that has a crowd now and then") {
    run(260, true);
    run(1, true, true);
    run(1, true);
    REQUIRE(world.turns().size() == 2);
    CHECK(world.turns()[1] == told(true));
    run(250, true);
    CHECK(world.turns().size() == 2);
    run(10, true);
    REQUIRE(world.turns().size() == 3);
    CHECK(world.turns()[2] == told(false));
  }
  SECTION("another program") {
    run(260, true);
    CHECK(world.turns().size() == 1);
    world.linker().OnProcessEnd(kApp);
    REQUIRE(world.turns().size() == 2);
    CHECK(world.turns()[1] == told(true));
  }
  SECTION("an application") {
    run(1000, false);
    CHECK(world.turns().empty());
  }
}

TEST_CASE("cause: without a decision everything goes out at the limit; what comes then is late") {
  LinkSettings settings;
  settings.decision_limit_ns = 300'000'000;
  Loop loop(settings);
  World& world = loop.world;
  SECTION("nothing is ever decided") {
    loop.AnswerAll();
    world.Pass(250);
    CHECK(world.delivered() == 0);
    world.Pass(100);
    REQUIRE(world.delivered() == 3);
    CHECK(world[3].refused == "undecided");
    loop.finder->Decide(3, 2, 0.99);
    loop.finder->released = {1, 2};
    world.Pass(1);
    CHECK(world.counters().late == 0);  // nobody asks any more
  }
  SECTION("the cause has gone, the client is open") {
    world.Answer(loop.first);
    world.Answer(loop.second);
    world.Pass(400);
    CHECK(world.delivered() == 2);
    loop.finder->Decide(3, 2, 0.99);
    world.Pass(1);
    CHECK(world.counters().late == 1);
    world.Answer(loop.client);
    world.Pass(100);
    REQUIRE(world.delivered() == 3);
    CHECK(world[3].rule == LinkRule::kNone);
    CHECK(world[3].refused == "late");
  }
}

TEST_CASE("cause: a held request does not go out with what has waited longer in its tree") {
  LinkSettings settings;
  settings.decision_limit_ns = 300'000'000;
  Played* const finder = new Played;
  World world(settings, 1, std::unique_ptr<CauseFinder>(finder));
  Tcp tcp = world.Connect(8, kApp);
  Exchange* const above = world.Write(tcp.client, 80, "/held");
  Exchange* const held = world.Read(tcp.server, kLoop, "/held");
  Exchange* const other = world.Read(kApp, kLoop, "/other");
  Exchange* const call = world.Write(kApp, kLoop, "/call");
  world.Finish(above, ExchangeError::kConnectionReset);  // it gave up
  world.Pass(200);
  for (Exchange* const exchange : {call, held, other}) world.Answer(exchange);
  world.Pass(150);
  CHECK(world.delivered() == 1);
  CHECK(world.Find(1) != nullptr);
  finder->Decide(4, 2, 0.99);
  finder->released = {2, 3};
  world.Pass(100);
  REQUIRE(world.delivered() == 4);
  CHECK(world.IsChild(2, 1));
  CHECK(world.IsChild(4, 2));
}

TEST_CASE("cause: at the end everything is decided and delivered") {
  Loop loop;
  loop.AnswerAll();
  loop.finder->at_flush = {Played::Make(3, 1, 0.97, "", CauseRule::kJoint)};
  loop.world.End();
  REQUIRE(loop.world.delivered() == 3);
  CHECK(loop.world.IsChild(3, 1));
}

TEST_CASE("cause: a process that ends is decided then") {
  Loop loop;
  loop.finder->Decide(3, 1, 0.97);
  loop.world.linker().OnProcessEnd(kApp);
  CHECK(loop.finder->ended == std::vector<uint32_t>{kApp});
  CHECK(loop.finder->decisions.empty());
  loop.AnswerAll();
  loop.finder->released = {1, 2};
  loop.world.Pass(100);
  CHECK(loop.world.IsChild(3, 1));
}

TEST_CASE("cause: a decision waits while a rule waits, and counts if that one does not know") {
  // Thread-per-request, as far as is known: rule `thread` waits for the answer.
  Played* const finder = new Played;
  World world({}, 1, std::unique_ptr<CauseFinder>(finder));
  Exchange* const first = world.Read(kApp, 71, "/first");
  Exchange* const second = world.Read(kApp, 72, "/second");
  Exchange* const client = world.Write(kApp, 72, "/call");
  const bool nested = GENERATE(true, false);
  finder->Decide(3, 1, 0.97);
  world.Pass(1);
  world.Answer(client, nested ? 72 : 73);
  world.Answer(second, 72);
  world.Answer(first, 71);
  finder->released = {1, 2};
  world.Pass(100);
  REQUIRE(world.delivered() == 3);
  CHECK(world[3].rule == (nested ? LinkRule::kThread : LinkRule::kProgram));
  CHECK(world.IsChild(3, nested ? 2 : 1));
  CHECK(finder->known.size() == (nested ? 1 : 0));
}

TEST_CASE("cause: what the process says itself is known to the finder, too") {
  Played* const finder = new Played;
  World world({}, 1, std::unique_ptr<CauseFinder>(finder));
  HandingProxy proxy(world);
  HandingProxy::One one;
  one.server_span = 2;
  one.client_span = 3;
  world.Read(HandingProxy::kTgid, 70, "/other");
  Exchange* const server = world.Read(proxy.down().server, 70, "/in");
  one.server_id = server->id;
  one.server_start = one.client_start = world.now_ns() + 1'000;
  Exchange* const client = world.Write(proxy.up().client, 70, "/out", {{"traceparent", Header('a', one.client_span)}});
  one.client_id = client->id;
  one.client_end = world.now_ns() + 1'000;
  world.Answer(client);
  one.server_end = world.now_ns() + 1'000;
  world.Answer(server);
  proxy.Hand(proxy.ClientSpan(one));
  proxy.Hand(proxy.ServerSpan(one));
  world.Pass(20);
  CHECK(finder->known == std::map<uint64_t, uint64_t>{{one.client_id, one.server_id}});
  finder->Decide(one.client_id, 1, 0.99);
  finder->released = {one.server_id};
  world.Pass(200);
  REQUIRE(world.Find(one.client_id) != nullptr);
  CHECK(world[one.client_id].rule == LinkRule::kHandoff);
  CHECK(world.IsChild(one.client_id, one.server_id));
}

TEST_CASE("cause: no decision against the ids on the wire") {
  const bool against = GENERATE(true, false);
  Played* const finder = new Played;
  World world({}, 1, std::unique_ptr<CauseFinder>(finder));
  Exchange* const other = world.Read(kApp, kLoop, "/0");
  Exchange* const first = world.Read(kApp, kLoop, "/1", {{"traceparent", Parent('a', '1')}});
  Exchange* const second = world.Read(kApp, kLoop, "/2", {{"traceparent", Parent('a', '2')}});
  Exchange* const client = world.Write(kApp, kLoop, "/call", {{"traceparent", Parent('a', '3')}});
  world.Answer(client);
  for (Exchange* const server : {second, first, other}) world.Answer(server);
  finder->Decide(4, against ? 1 : 2, 0.99, "", CauseRule::kToken);
  finder->released = {1, 2, 3};
  world.Pass(100);
  REQUIRE(world.delivered() == 4);
  CHECK(world[4].rule == (against ? LinkRule::kNone : LinkRule::kToken));
  CHECK(world[4].refused == (against ? "other_ids" : ""));
}

TEST_CASE("candidates: below the threshold the root tells where its parent may be") {
  LinkSettings settings;
  settings.candidates = GENERATE(true, false);
  Loop loop(settings);
  World& world = loop.world;
  loop.AnswerAll();
  loop.finder->Decide(3, 1, 0.7, "close", CauseRule::kJoint);
  world.Pass(100);
  CHECK((world.Find(3) == nullptr) == settings.candidates);  // ids are known when a tree is delivered
  loop.finder->released = {1, 2};
  world.Pass(100);
  REQUIRE(world.delivered() == 3);
  CHECK(world[3].rule == LinkRule::kNone);
  CHECK(world[3].refused == "close");
  CHECK(world[3].trace_id != world[1].trace_id);
  CHECK(world.counters().candidates == (settings.candidates ? 1 : 0));
  CHECK(world.counters().candidates_lost == 0);
  REQUIRE(world[3].candidate.has_value() == settings.candidates);
  if (!settings.candidates) return;
  CHECK(world[3].candidate->trace_id == world[1].trace_id);
  CHECK(world[3].candidate->span_id == world[1].span_id);
  CHECK(world[3].candidate->rule == LinkRule::kJoint);
  CHECK(world[3].candidate->confidence == 0.7);
}

TEST_CASE("candidates: one whose ids are fixed is told at once, one that has gone not at all") {
  LinkSettings settings;
  settings.candidates = true;
  settings.decision_limit_ns = 300'000'000;
  Played* const finder = new Played;
  World world(settings, 1, std::unique_ptr<CauseFinder>(finder));
  const bool stays = GENERATE(true, false);
  Exchange* const first = world.Read(kApp, kLoop, "/first");
  Exchange* const long_call = stays ? world.Write(kApp, kLoop, "/long") : nullptr;  // its tree is delivered in parts
  Exchange* const second = world.Read(kApp, kLoop, "/second");
  Exchange* const client = world.Write(kApp, kLoop, "/call");
  const uint64_t id = client->id;
  for (Exchange* const server : {first, second}) world.Answer(server);
  world.Pass(400);
  CHECK(world.delivered() == 2);
  world.Answer(client);
  finder->Decide(id, 1, 0.7, "close");
  world.Pass(100);
  REQUIRE(world.Find(id) != nullptr);
  CHECK(world[id].refused == "close");
  CHECK(world[id].candidate.has_value() == stays);
  CHECK(world.counters().candidates == (stays ? 1 : 0));
  CHECK(world.counters().candidates_lost == (stays ? 0 : 1));
  CHECK(world.counters().late == 0);
  if (!stays) return;
  CHECK(world[id].candidate->span_id == world[1].span_id);
  world.Answer(long_call);
}

TEST_CASE("candidates: a root waits no longer than the limit for the ids, and never for its own") {
  LinkSettings settings;
  settings.candidates = true;
  settings.decision_limit_ns = 300'000'000;
  Played* const finder = new Played;
  World world(settings, 1, std::unique_ptr<CauseFinder>(finder));
  const bool own = GENERATE(true, false);
  Exchange* const first = world.Read(kApp, kLoop, "/first");
  Exchange* const second = world.Read(kApp, kLoop, "/second");
  Tcp tcp = world.Connect(kApp, 8);
  Exchange* const client = world.Write(tcp.client, kLoop, "/call");
  Exchange* const below = world.Read(tcp.server, 80, "/call");
  if (own) {
    Tcp back = world.Connect(8, kApp);
    Exchange* const again = world.Write(back.client, 80, "/back");
    Exchange* const circle = world.Read(back.server, kLoop, "/back");
    for (Exchange* const each : {circle, again}) world.Answer(each);
  }
  for (Exchange* const each : {below, client}) world.Answer(each);
  finder->released = {1, 2, 4, 6};
  finder->Decide(3, own ? 6 : 1, 0.7, "close");
  world.Pass(100);
  CHECK((world.Find(3) != nullptr) == own);
  world.Pass(250);
  REQUIRE(world.Find(3) != nullptr);
  CHECK_FALSE(world[3].candidate.has_value());
  CHECK(world.counters().candidates_lost == 1);
  for (Exchange* const each : {first, second}) world.Answer(each);
}

TEST_CASE("candidates: what a rule is not sure of, and what adoption may not connect") {
  LinkSettings settings;
  settings.candidates = true;
  settings.adopt = false;
  World world(settings);
  Exchange* const server = world.Read(kApp, kLoop, "/in", {{"traceparent", Parent('a', '1')}});
  Exchange* const client = world.Write(kApp, kLoop, "/out", {{"traceparent", Parent('b', '2')}});
  world.Answer(client);
  world.Answer(server);
  world.Pass(100);
  REQUIRE(world.delivered() == 2);
  CHECK(world[2].rule == LinkRule::kNone);
  CHECK(FormatHex(world[2].trace_id) == std::string(32, 'b'));
  REQUIRE(world[2].candidate.has_value());
  CHECK(world[2].candidate->span_id == world[1].span_id);
  CHECK(FormatHex(world[2].candidate->trace_id) == std::string(32, 'a'));
  CHECK(world[2].candidate->rule == LinkRule::kCalm);
  CHECK(world[2].candidate->confidence == 0.99);
}

namespace {

// README.md's example; the exchanges are numbered as there. A tenth keeps rule `calm` from knowing.
constexpr uint32_t kFrontProxy = 11, kFront = kApp, kCartProxy = 12, kCart = 13;

void RunMesh(World& world, Played& finder, double confidence) {
  Tcp tcp[] = {world.Connect(kFrontProxy, kFront), world.Connect(kFront, kFrontProxy),
               world.Connect(kFrontProxy, kCartProxy), world.Connect(kCartProxy, kCart)};
  const Headers in = {{"host", "front"}, {"accept", "*/*"}};
  const Headers call = {{"host", "cart"}, {"accept", "*/*"}};
  const auto with = [](Headers headers, const std::string& ids) {
    headers.emplace_back("traceparent", ids);
    headers.emplace_back("x-forwarded-proto", "http");
    return headers;
  };
  std::vector<Exchange*> open;
  open.push_back(world.Read(kFrontProxy, 1, "/", in));
  open.push_back(world.Write(tcp[0].client, 1, "/", with(in, Parent('a', 'b'))));
  open.push_back(world.Read(tcp[0].server, kLoop, "/", with(in, Parent('a', 'b'))));
  Exchange* const other = world.Read(kFront, kLoop, "/other");
  open.push_back(world.Write(tcp[1].client, kLoop, "/cart", call));
  open.push_back(world.Read(tcp[1].server, 1, "/cart", call));
  open.push_back(world.Write(tcp[2].client, 1, "/cart", with(call, Parent('c', 'd'))));
  open.push_back(world.Read(tcp[2].server, 2, "/cart", with(call, Parent('c', 'd'))));
  open.push_back(world.Write(tcp[3].client, 2, "/cart", with(call, Parent('c', 'e'))));
  open.push_back(world.Read(tcp[3].server, 3, "/cart", with(call, Parent('c', 'e'))));
  for (; !open.empty(); open.pop_back()) world.Answer(open.back());
  world.Answer(other, kLoop);
  finder.Decide(5, 3, confidence, "");
  for (uint64_t id = 1; id <= 10; ++id) finder.released.push_back(id);
  world.Pass(100);
}

}  // namespace

TEST_CASE("adoption: the README's example") {
  // The fourth exchange is `other`.
  constexpr uint64_t kLine[] = {0, 1, 2, 3, 5, 6, 7, 8, 9, 10};
  LinkSettings settings;
  settings.adopt = GENERATE(true, false);
  settings.candidates = GENERATE(true, false);
  const bool sure = GENERATE(true, false);
  Played* const finder = new Played;
  World world(settings, 1, std::unique_ptr<CauseFinder>(finder));
  RunMesh(world, *finder, sure ? 0.96 : 0.8);
  REQUIRE(world.delivered() == 10);
  const auto line = [&](int number) -> const LinkedExchange& { return world[kLine[number]]; };
  const LinkRule rules[] = {LinkRule::kNone,    LinkRule::kNone,       LinkRule::kProxy, LinkRule::kConnection,
                            LinkRule::kProgram, LinkRule::kConnection, LinkRule::kProxy, LinkRule::kConnection,
                            LinkRule::kWire,    LinkRule::kConnection};
  const int root = !sure ? 4 : settings.adopt ? 1 : 6;  // of what says c on the wire
  for (int i = 1; i <= 9; ++i) {
    INFO("line " << i);
    const bool is_root = i == 1 || i == root;
    CHECK(line(i).rule == (is_root ? LinkRule::kNone : rules[i]));
    CHECK(line(i).parent_span_id == (is_root ? SpanId{} : line(i - 1).span_id));
    const char trace = root > 1 && i >= root ? 'c' : 'a';
    CHECK(FormatHex(line(i).trace_id) == std::string(32, trace));
    const bool adopted = i >= 6 && trace == 'a';
    CHECK(line(i).wire_trace_id.valid() == adopted);
    if (adopted) {
      CHECK(FormatHex(line(i).wire_trace_id) == std::string(32, 'c'));
      CHECK(FormatHex(line(i).wire_parent_id) == std::string(16, i < 8 ? 'd' : 'e'));
    }
    CHECK(line(i).candidate.has_value() == (settings.candidates && i == root && i > 1));
  }
  for (const auto& [number, id] : {std::pair(2, 'b'), {6, 'd'}, {8, 'e'}}) {
    CHECK(FormatHex(line(number).span_id) == std::string(16, id));
  }
  if (sure) CHECK(line(4).confidence == 0.96);
  if (!settings.candidates || root == 1) return;
  CHECK(line(root).candidate->span_id == line(root - 1).span_id);
  CHECK(FormatHex(line(root).candidate->trace_id) == std::string(32, 'a'));
  CHECK(line(root).candidate->rule == rules[root]);
  CHECK(line(root).candidate->confidence == (sure ? 0.99 : 0.8));
}

}  // namespace spantap::link_test
