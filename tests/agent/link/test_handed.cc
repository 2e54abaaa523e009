// SPDX-License-Identifier: Apache-2.0
//
// Spans that processes hand off find their exchanges: each rule, either order, waits, adoption, lies.
#include <catch2/catch.hpp>

#include "agent/link/handed_spans.h"
#include "tests/agent/link/handing.h"

namespace spantap::link_test {
namespace {

const HandedCounters& Handed(const World& world) { return world.counters().handed; }

std::string NameOf(const LinkedExchange& linked) { return linked.handed != nullptr ? linked.handed->span.name : ""; }

// The pair was matched: the spans' ids, the proxy's own parent.
void CheckPair(const World& world, const HandingProxy::One& one) {
  const LinkedExchange& server = world[one.server_id];
  const LinkedExchange& client = world[one.client_id];
  REQUIRE(server.handed != nullptr);
  REQUIRE(client.handed != nullptr);
  CHECK(server.span_id == Id(one.server_span));
  CHECK(client.span_id == Id(one.client_span));
  CHECK(client.parent_span_id == Id(one.server_span));
  CHECK(client.trace_id == server.trace_id);
}

}  // namespace

TEST_CASE("handed: a server and a client span are delivered once, with their exchanges", "[link]") {
  World world;
  HandingProxy proxy(world);
  const HandingProxy::One one = proxy.Run(1);
  const bool server_first = GENERATE(false, true);
  proxy.Hand(server_first ? proxy.ServerSpan(one) : proxy.ClientSpan(one));
  proxy.Hand(server_first ? proxy.ClientSpan(one) : proxy.ServerSpan(one));
  world.Pass(100);
  CheckPair(world, one);
  CHECK(world[one.server_id].trace_id == Trace('a'));
  CHECK_FALSE(world[one.server_id].parent_span_id.valid());
  CHECK(world.lone().empty());
  CHECK(Handed(world).matched == 2);
  CHECK(Handed(world).unmatched_exchanges == 0);
}

TEST_CASE("handed: spans may come before the events of their exchanges", "[link]") {
  World world;
  HandingProxy proxy(world);
  // The times of what is to come: Begin() and End() let pass 10 us an event.
  HandingProxy::One one;
  one.server_span = 2;
  one.client_span = 3;
  one.server_start = world.now_ns() + 12'000;
  one.client_start = world.now_ns() + 14'000;
  one.client_end = world.now_ns() + 41'000;
  one.server_end = world.now_ns() + 61'000;
  proxy.Hand(proxy.ClientSpan(one));
  proxy.Hand(proxy.ServerSpan(one));
  const HandingProxy::One seen = proxy.Run(1);
  world.Pass(300);
  CheckPair(world, seen);
  CHECK(world.lone().empty());
}

TEST_CASE("handed: an exchange waits for its span, two seconds at most", "[link]") {
  World world;
  HandingProxy proxy(world);
  const HandingProxy::One one = proxy.Run(1);
  world.Pass(1900);
  CHECK(world.delivered() == 0);
  world.Pass(200);
  CHECK(world.delivered() == 2);
  CHECK(Handed(world).unmatched_exchanges == 2);
  // What was exported under the client span's id is not exported again; the server span's was not known.
  proxy.Hand(proxy.ClientSpan(one));
  proxy.Hand(proxy.ServerSpan(one));
  world.Pass(1100);
  CHECK(Handed(world).late == 1);
  REQUIRE(world.lone().size() == 1);
  CHECK(world.lone()[0].handed->span.span_id == Id(one.server_span));
  CHECK(Handed(world).unmatched_spans == 1);
}

TEST_CASE("handed: a process that hands nothing off does not wait", "[link]") {
  World world;
  HandingProxy proxy(world);
  Exchange* const other = world.Read(8, 80, "/y");
  const uint64_t id = other->id;
  world.Answer(other);
  world.Pass(60);
  CHECK(world.Find(id) != nullptr);
}

TEST_CASE("handed: what the proxy did not record is not waited for", "[link]") {
  World world;
  HandingProxy proxy(world);
  Exchange* const server = world.Read(proxy.down().server, 70, "/x", {{"host", "h"}});
  Exchange* const client =
      world.Write(proxy.up().client, 70, "/x", {{"host", "h"}, {"traceparent", Header('a', 9, "00")}});
  world.Answer(client);
  world.Answer(server);
  world.Pass(60);
  CHECK(world.delivered() == 2);
  CHECK(Handed(world).unmatched_exchanges == 0);
}

TEST_CASE("handed: a span without an exchange goes after a second, as it is", "[link]") {
  World world;
  HandingProxy proxy(world);
  proxy.Run(1);  // it is observed
  HandingProxy::One none;
  none.server_span = 77;
  none.server_start = none.server_end = world.now_ns() + 1;
  proxy.Hand(proxy.ServerSpan(none));
  world.Pass(900);
  CHECK(world.lone().empty());
  world.Pass(200);
  REQUIRE(world.lone().size() == 1);
  CHECK(world.lone()[0].trace_id == Trace('a'));
  CHECK(Handed(world).unmatched_spans == 1);
}

TEST_CASE("handed: each exchange of a kept-alive connection gets its own span", "[link]") {
  World world;
  HandingProxy proxy(world);
  const bool peer_only = GENERATE(false, true);
  const int every = GENERATE(1, 3);
  const bool backwards = GENERATE(false, true);
  std::vector<HandingProxy::One> all;
  for (uint64_t i = 1; i <= 30; ++i) all.push_back(proxy.Run(i));
  std::vector<HandingProxy::One> handed;
  for (size_t i = 0; i < all.size(); i += static_cast<size_t>(every)) handed.push_back(all[i]);
  if (backwards) std::reverse(handed.begin(), handed.end());
  for (const auto& one : handed) {
    for (Handing handing : {proxy.ServerSpan(one), proxy.ClientSpan(one)}) {
      handing.peer_only = peer_only;
      proxy.Hand(handing);
    }
  }
  world.Pass(1200);
  for (const auto& one : handed) CheckPair(world, one);
  CHECK(Handed(world).matched == handed.size() * 2);
  CHECK(world.lone().empty());
}

TEST_CASE("handed: times in whole milliseconds say no more than that", "[link]") {
  World world;
  HandingProxy proxy(world);
  // Exchanges of 60 us, one handed off: the one before it is nearer to the start of the millisecond.
  std::vector<HandingProxy::One> all;
  for (uint64_t i = 1; i <= 12; ++i) all.push_back(proxy.Run(i));
  const HandingProxy::One one = all[7];
  Handing handing = proxy.ServerSpan(one);
  auto span = MakeHanded(handing);
  span->span.start_unix_ns -= span->span.start_unix_ns % 1'000'000;
  world.linker().OnSpan(std::move(span));
  world.Pass(1200);
  REQUIRE(Handed(world).matched == 1);
  world.Pass(1200);
  CHECK(NameOf(world[one.server_id]) == "handed " + std::to_string(one.server_span));
}

TEST_CASE("handed: of exchanges that are equally near none is taken, unless the path tells", "[link]") {
  World world;
  HandingProxy proxy(world);
  // Both on one connection (HTTP/2), and the span's times lie in the middle.
  Exchange* const first = world.Read(proxy.down().server, 70, "/one");
  Exchange* const second = world.Read(proxy.down().server, 70, "/two");
  Handing handing;
  handing.tgid = HandingProxy::kTgid;
  handing.id = 5;
  handing.start_ns = world.now_ns() - 5'000;
  handing.side = &proxy.down().server;
  world.Respond(first);
  world.Respond(second);
  world.Finish(first);
  world.Finish(second);
  handing.end_ns = world.now_ns() - 5'000;
  const bool with_path = GENERATE(false, true);
  if (with_path) handing.path = "/two";
  proxy.Hand(handing);
  world.Pass(1200);
  world.Pass(1200);
  CHECK(Handed(world).matched == (with_path ? 1 : 0));
  CHECK(world.lone().size() == (with_path ? 0 : 1));
  if (with_path) CHECK(NameOf(world[2]) == "handed 5");
}

TEST_CASE("handed: the incoming parent-id tells exchanges of one connection apart", "[link]") {
  World world;
  HandingProxy proxy(world);
  Exchange* const first = world.Read(proxy.down().server, 70, "/x", {{"traceparent", Header('a', 100)}});
  Exchange* const second = world.Read(proxy.down().server, 70, "/x", {{"traceparent", Header('a', 200)}});
  for (const uint64_t parent : {uint64_t{200}, uint64_t{100}}) {
    Handing handing;
    handing.tgid = HandingProxy::kTgid;
    handing.id = parent + 1;
    handing.parent = parent;
    handing.parent_is_remote = true;
    handing.start_ns = handing.end_ns = world.now_ns();
    handing.side = &proxy.down().server;
    proxy.Hand(handing);
  }
  world.Answer(first);
  world.Answer(second);
  world.Pass(100);
  CHECK(world[1].span_id == Id(101));
  CHECK(world[2].span_id == Id(201));
  CHECK(world[1].rule == LinkRule::kWire);
  CHECK(world[1].parent_is_remote);
}

TEST_CASE("handed: a client span is known by the traceparent it sent, a server span by its clients", "[link]") {
  World world;
  HandingProxy proxy(world);
  const HandingProxy::One one = proxy.Run(1);
  for (Handing handing : {proxy.ClientSpan(one), proxy.ServerSpan(one)}) {
    handing.side = nullptr;
    proxy.Hand(handing);
  }
  world.Pass(100);
  CheckPair(world, one);
}

TEST_CASE("handed: without a connection it is the last request that was read before", "[link]") {
  World world;
  std::vector<std::unique_ptr<HandingProxy>> lanes;
  for (int i = 0; i < 8; ++i) lanes.push_back(std::make_unique<HandingProxy>(world));
  // Eight open at once, with equal heads, answered in another order; the spans end late (a write that was put off).
  std::vector<HandingProxy::One> all;
  for (uint64_t i = 0; i < lanes.size(); ++i) {
    all.push_back(lanes[i]->Begin(i + 1));
    world.Pass(1);
  }
  for (const size_t i : {3u, 0u, 7u, 1u, 6u, 2u, 5u, 4u}) lanes[i]->End(all[i]);
  for (size_t i = 0; i < lanes.size(); ++i) {
    Handing server = lanes[i]->ServerSpan(all[i]);
    server.side = nullptr;
    server.end_ns = world.now_ns() + 400'000;
    lanes[i]->Hand(lanes[i]->ClientSpan(all[i]));
    lanes[i]->Hand(server);
  }
  world.Pass(100);
  world.Pass(1100);
  for (const auto& one : all) CheckPair(world, one);
  CHECK(world.lone().empty());
}

TEST_CASE("handed: requests that were read at once are told apart by nothing", "[link]") {
  World world;
  HandingProxy one(world), other(world);
  const HandingProxy::One a = one.Begin(1), b = other.Begin(2);
  Handing server = one.ServerSpan(a);
  server.side = nullptr;
  server.start_ns = other.ServerSpan(b).start_ns + 60'000;
  server.end_ns = world.now_ns() + 900'000;
  world.Answer(a.client);
  world.Answer(b.client);
  world.Answer(a.server);
  world.Answer(b.server);
  one.Hand(server);
  for (int i = 0; i < 25; ++i) world.Pass(100);
  CHECK(Handed(world).matched == 0);
  CHECK(world.lone().size() == 1);
}

TEST_CASE("handed: addresses may be mapped, and must not contradict", "[link]") {
  World world;
  HandingProxy proxy(world);
  const HandingProxy::One one = proxy.Run(1);
  auto span = MakeHanded(proxy.ServerSpan(one));
  SpanConnection& connection = span->connection;
  const bool mapped = GENERATE(false, true);
  if (mapped) {
    connection.family = 6;
    connection.local_address = {};
    connection.peer_address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  } else {
    connection.peer_address[3] ^= 1;
  }
  world.linker().OnSpan(std::move(span));
  world.Pass(1100);
  world.Pass(1100);
  CHECK(Handed(world).matched == (mapped ? 1 : 0));
}

TEST_CASE("handed: a client span without connection, header or true times is the one that its parent caused",
          "[link]") {
  World world;
  HandingProxy proxy(world);
  HandingProxy::One one;
  Exchange* const server = world.Read(proxy.down().server, 70, "/x", {{"host", "h"}});
  one.server_id = server->id;
  one.server_span = 2;
  one.client_span = 3;
  one.server_start = world.now_ns() + 1'000;
  const bool linked =
      GENERATE(true, false);  // the header lines differ, and another request is open: nothing is inferred
  if (!linked) world.Read(HandingProxy::kTgid, 70, "/other");
  Exchange* const client = world.Write(proxy.up().client, 70, "/x", {{"host", "h"}, {linked ? "via" : "mine", "p"}});
  one.client_id = client->id;
  world.Answer(client);
  world.Answer(server);
  one.server_end = world.now_ns() + 1'000;
  one.client_start = one.client_end = world.now_ns() + 30'000'000;
  Handing bare = proxy.ClientSpan(one);
  bare.side = nullptr;
  proxy.Hand(bare);
  proxy.Hand(proxy.ServerSpan(one));
  world.Pass(20);
  world.Pass(linked ? 100 : 2100);
  CheckPair(world, one);
}

TEST_CASE("handed: a client that resets is gone before the proxy's span begins", "[link]") {
  World world;
  HandingProxy proxy(world);
  Exchange* const server = world.Read(proxy.down().server, 70, "/x");
  const bool reset = GENERATE(false, true);
  world.Finish(server, reset ? ExchangeError::kConnectionReset : ExchangeError::kNone);
  Handing handing;
  handing.tgid = HandingProxy::kTgid;
  handing.id = 5;
  handing.start_ns = world.now_ns() + 2'300'000;
  handing.end_ns = world.now_ns() + 150'000'000;
  handing.side = &proxy.down().server;
  world.Pass(151);
  proxy.Hand(handing);
  for (int i = 0; i < 12; ++i) world.Pass(100);
  CHECK(Handed(world).matched == (reset ? 1 : 0));
}

TEST_CASE("handed: x-request-id tells, if nothing else does", "[link]") {
  World world;
  HandingProxy proxy(world);
  Exchange* const server = world.Read(proxy.down().server, 70, "/x", {{"x-request-id", "r-1"}});
  world.Answer(server);
  Handing handing;
  handing.tgid = HandingProxy::kTgid;
  handing.id = 5;
  handing.start_ns = world.now_ns() - 15'000;
  handing.end_ns = world.now_ns();
  handing.request_id = "r-1";
  proxy.Hand(handing);
  world.Pass(100);
  CHECK(world[1].span_id == Id(5));
}

TEST_CASE("handed: the proxy's word links where heads are equal", "[link]") {
  // Two equal requests open at once, handled by threads in no order: nothing on the wire tells whose client is whose.
  World world;
  HandingProxy proxy(world);
  HandingProxy other(world);
  HandingProxy::One a = proxy.Begin(1, 'a');
  HandingProxy::One b = other.Begin(2, 'b');
  // The clients' exchanges are swapped: the proxy answers as it likes.
  proxy.End(a);
  other.End(b);
  for (const Handing& handing : {proxy.ClientSpan(a), other.ClientSpan(b), other.ServerSpan(b), proxy.ServerSpan(a)}) {
    proxy.Hand(handing);
  }
  world.Pass(100);
  CheckPair(world, a);
  CheckPair(world, b);
  CHECK(world[a.client_id].trace_id == Trace('a'));
  CHECK(world[b.client_id].trace_id == Trace('b'));
}

TEST_CASE("handed: a wrong guess gives way to the proxy's word", "[link]") {
  World world;
  HandingProxy proxy(world);
  HandingProxy::One a = proxy.Begin(1, 'a');
  proxy.End(a);
  // An exchange with an equal head from another connection, linked to the only open request: but its span says that
  // the request before caused it (a cache that revalidates, say).
  HandingProxy::One b = proxy.Begin(2, 'b');
  proxy.End(b);
  proxy.Hand(proxy.ServerSpan(a));
  proxy.Hand(proxy.ServerSpan(b));
  proxy.Hand(proxy.ClientSpan(a));
  Handing odd = proxy.ClientSpan(b);
  odd.parent = a.server_span;
  odd.trace = 'a';
  proxy.Hand(odd);
  world.Pass(100);
  CHECK(world[b.client_id].parent_span_id == Id(a.server_span));
  CHECK(world[b.client_id].trace_id == Trace('a'));
  CHECK(world[b.client_id].rule == LinkRule::kHandoff);
  CHECK(world[b.server_id].trace_id == Trace('b'));
}

TEST_CASE("handed: a span between client and server span stays between them", "[link]") {
  World world;
  HandingProxy proxy(world);
  const HandingProxy::One one = proxy.Run(1);
  Handing client = proxy.ClientSpan(one);
  client.parent = 500;
  Handing between;
  between.tgid = HandingProxy::kTgid;
  between.kind = SpanKind::kInternal;
  between.id = 500;
  between.parent = one.server_span;
  between.start_ns = between.end_ns = one.client_start;
  std::vector<Handing> order = {client, between, proxy.ServerSpan(one)};
  const int turn = GENERATE(0, 1, 2);
  std::rotate(order.begin(), order.begin() + turn, order.end());
  for (const Handing& handing : order) proxy.Hand(handing);
  world.Pass(1200);
  world.Pass(100);
  CHECK(world[one.client_id].parent_span_id == Id(500));
  CHECK(world[one.client_id].trace_id == world[one.server_id].trace_id);
  REQUIRE(world.lone().size() == 1);
  CHECK(world.lone()[0].handed->span.parent_span_id == Id(one.server_span));
  CHECK(Handed(world).unmatched_spans == 0);
}

TEST_CASE("handed: behind an application that forwards nothing the spans are adopted", "[link]") {
  World world;
  // gateway (6, hands nothing off) -> application (5) -> proxy (7)
  Tcp front = world.Connect(0, 5);
  HandingProxy proxy(world, 5);
  Exchange* const app_in = world.Read(front.server, 50, "/in", {{"traceparent", Header('f', 900)}});
  Exchange* const app_out = world.Write(proxy.down().client, 50, "/x", {{"host", "h"}});
  HandingProxy::One one = proxy.Begin(1, 'b');
  proxy.End(one);
  world.Answer(app_out);
  const uint64_t in_id = app_in->id;
  world.Answer(app_in);
  Handing between;
  between.tgid = HandingProxy::kTgid;
  between.kind = SpanKind::kInternal;
  between.trace = 'b';
  between.id = 500;
  between.parent = one.server_span;
  between.start_ns = between.end_ns = one.client_start;
  proxy.Hand(between);
  proxy.Hand(proxy.ClientSpan(one));
  proxy.Hand(proxy.ServerSpan(one));
  world.Pass(100);
  world.Pass(1100);
  const LinkedExchange& server = world[one.server_id];
  CHECK(world[in_id].trace_id == Trace('f'));
  CHECK(server.trace_id == Trace('f'));
  CHECK(server.wire_trace_id == Trace('b'));
  CHECK(server.wire_parent_id == Id(one.server_span));
  CHECK(server.rule == LinkRule::kConnection);
  CHECK(world[one.client_id].trace_id == Trace('f'));
  CHECK(world[one.client_id].parent_span_id == Id(one.server_span));
  REQUIRE(world.lone().size() == 1);
  CHECK(world.lone()[0].trace_id == Trace('f'));
}

TEST_CASE("handed: with adoption off a handed-off span keeps its trace and its parent", "[link]") {
  LinkSettings settings;
  settings.adopt = false;
  World world(settings);
  HandingProxy proxy(world, 5);
  Tcp front = world.Connect(0, 5);
  Exchange* const app_in = world.Read(front.server, 50, "/in", {{"traceparent", Header('f', 900)}});
  Exchange* const app_out = world.Write(proxy.down().client, 50, "/x", {{"host", "h"}});
  HandingProxy::One one = proxy.Begin(1, 'b');
  proxy.End(one);
  world.Answer(app_out);
  world.Answer(app_in);
  proxy.Hand(proxy.ClientSpan(one));
  proxy.Hand(proxy.ServerSpan(one));
  world.Pass(100);
  CHECK(world[one.server_id].trace_id == Trace('b'));
  CHECK_FALSE(world[one.server_id].parent_span_id.valid());
  CHECK_FALSE(world[one.server_id].wire_trace_id.valid());
  CHECK(world[one.client_id].trace_id == Trace('b'));
}

TEST_CASE("handed: the application behind the proxy hangs on its client span", "[link]") {
  World world;
  HandingProxy proxy(world, 0, 9);
  Exchange* const server = world.Read(proxy.down().server, 70, "/x", {{"host", "h"}});
  HandingProxy::One one;
  one.server = server;
  one.server_id = server->id;
  one.server_span = 2;
  one.client_span = 3;
  one.server_start = one.client_start = world.now_ns() + 1'000;
  one.client = world.Write(proxy.up().client, 70, "/x", {{"host", "h"}, {"traceparent", Header('a', 3)}});
  one.client_id = one.client->id;
  Exchange* const app = world.Read(proxy.up().server, 90, "/x", {{"host", "h"}, {"traceparent", Header('a', 3)}});
  const uint64_t app_id = app->id;
  world.Answer(app);
  proxy.End(one);
  proxy.Hand(proxy.ClientSpan(one));
  proxy.Hand(proxy.ServerSpan(one));
  world.Pass(100);
  CheckPair(world, one);
  CHECK(world.IsChild(app_id, one.client_id));
  CHECK(world[app_id].rule == LinkRule::kConnection);
}

TEST_CASE("handed: a header with the server span's id leaves the client exchange an id of its own", "[link]") {
  World world;
  HandingProxy proxy(world);
  HandingProxy::One one = proxy.Begin(1, 'a', "", "/x", true);
  proxy.End(one);
  proxy.Hand(proxy.ServerSpan(one));
  world.Pass(100);
  world.Pass(2100);
  CHECK(world[one.server_id].span_id == Id(one.server_span));
  CHECK(world[one.client_id].handed == nullptr);
  CHECK(world[one.client_id].span_id != Id(one.server_span));
  CHECK(world.IsChild(one.client_id, one.server_id));
}

TEST_CASE("handed: retries with one header get a span each", "[link]") {
  World world;
  HandingProxy proxy(world);
  Tcp again = world.Connect(HandingProxy::kTgid, 0);
  HandingProxy::One one = proxy.Begin(1);
  world.Finish(one.client, ExchangeError::kConnectionReset);
  one.client_end = world.now_ns();
  const uint64_t second_start = world.now_ns() + 1'000;
  Exchange* const second = world.Write(again.client, 70, "/x", {{"host", "h"}, {"traceparent", Header('a', 3)}});
  const uint64_t second_id = second->id;
  world.Answer(second);
  Handing retry = proxy.ClientSpan(one);
  retry.id = 99;
  retry.start_ns = second_start;
  retry.end_ns = world.now_ns();
  retry.side = &again.client;
  world.Answer(one.server);
  one.server_end = world.now_ns();
  for (const Handing& handing : {retry, proxy.ClientSpan(one), proxy.ServerSpan(one)}) proxy.Hand(handing);
  world.Pass(100);
  CheckPair(world, one);
  CHECK(world[second_id].span_id == Id(99));
  CHECK(world[second_id].parent_span_id == Id(one.server_span));
}

TEST_CASE("handed: a long request's ids are what its spans will say", "[link]") {
  World world;
  HandingProxy proxy(world);
  HandingProxy::One one = proxy.Begin(1);
  world.Answer(one.client, 70);
  one.client_end = world.now_ns();
  proxy.Hand(proxy.ClientSpan(one));
  for (int i = 0; i < 30; ++i) world.Pass(100);  // the client exchange cannot wait so long
  REQUIRE(world.Find(one.client_id) != nullptr);
  CHECK(world[one.client_id].parent_span_id == Id(one.server_span));
  CHECK(world[one.client_id].span_id == Id(one.client_span));
  world.Answer(one.server, 70);
  one.server_end = world.now_ns();
  proxy.Hand(proxy.ServerSpan(one));
  world.Pass(100);
  REQUIRE(world.Find(one.server_id) != nullptr);
  CHECK(NameOf(world[one.server_id]) == "handed 2");
  CHECK(world[one.server_id].span_id == Id(one.server_span));
  CHECK(world[one.server_id].trace_id == world[one.client_id].trace_id);
}

TEST_CASE("handed: a span whose exchange does not end is not kept from leaving", "[link]") {
  World world;
  HandingProxy proxy(world);
  HandingProxy::One one = proxy.Begin(1);
  world.Answer(one.client, 70);
  one.client_end = world.now_ns();
  world.Respond(one.server, 70);
  one.server_end = world.now_ns();
  proxy.Hand(proxy.ClientSpan(one));
  proxy.Hand(proxy.ServerSpan(one));
  for (int i = 0; i < 25; ++i) world.Pass(100);
  REQUIRE(world.lone().size() == 1);
  CHECK(world.lone()[0].handed->span.span_id == Id(one.server_span));
  world.Finish(one.server);
  world.Pass(100);
  CHECK(world.Find(one.server_id) == nullptr);  // told already
  CHECK(world[one.client_id].parent_span_id == Id(one.server_span));
}

TEST_CASE("handed: a sampled span makes its tree sampled", "[link]") {
  LinkSettings settings;
  settings.sample_ratio = 0;
  World world(settings);
  HandingProxy proxy(world, 0, 0);
  const HandingProxy::One one = proxy.Run(1);
  const HandingProxy::One not_handed = proxy.Run(2, 'b');
  proxy.Hand(proxy.ServerSpan(one));
  world.Pass(2200);
  CHECK(world[one.server_id].sampled);
  CHECK(world[one.client_id].sampled);
  CHECK_FALSE(world[not_handed.server_id].sampled);
}

TEST_CASE("handed: another process's spans change nothing", "[link]") {
  World world;
  HandingProxy proxy(world);
  world.linker().OnProducers({HandingProxy::kTgid, 66});
  const HandingProxy::One one = proxy.Run(1);
  Handing forged_server = proxy.ServerSpan(one);
  Handing forged_client = proxy.ClientSpan(one);
  forged_server.tgid = forged_client.tgid = 66;
  forged_server.trace = forged_client.trace = 'e';
  proxy.Hand(forged_client);
  proxy.Hand(forged_server);
  proxy.Hand(proxy.ClientSpan(one));
  proxy.Hand(proxy.ServerSpan(one));
  world.Pass(100);
  CheckPair(world, one);
  CHECK(world[one.server_id].trace_id == Trace('a'));
  for (int i = 0; i < 22; ++i) world.Pass(100);
  REQUIRE(world.lone().size() == 2);
  for (const auto& lone : world.lone()) CHECK(lone.trace_id == Trace('e'));
}

TEST_CASE("handed: an id that another process sent first is given to nobody else", "[link]") {
  World world;
  HandingProxy proxy(world);
  // Process 5 sends a request with its own span's id; the proxy names its server span so (B3 shared spans, or a lie).
  Tcp tcp = world.Connect(5, HandingProxy::kTgid);
  Exchange* const out = world.Write(tcp.client, 50, "/x", {{"traceparent", Header('a', 2)}});
  const uint64_t out_id = out->id;
  Exchange* const in = world.Read(tcp.server, 70, "/x", {{"traceparent", Header('a', 2)}});
  const uint64_t in_id = in->id;
  world.Answer(in);
  world.Answer(out);
  Handing handing;
  handing.tgid = HandingProxy::kTgid;
  handing.id = 2;
  handing.start_ns = world.now_ns() - 30'000;
  handing.end_ns = world.now_ns();
  handing.side = &tcp.server;
  proxy.Hand(handing);
  world.Pass(100);
  CHECK(world[out_id].span_id == Id(2));
  REQUIRE(world[in_id].handed != nullptr);
  CHECK(world[in_id].span_id != Id(2));
  CHECK(world.IsChild(in_id, out_id));
}

TEST_CASE("handed: equal ids, circles and wrong times lose nothing", "[link]") {
  World world;
  HandingProxy proxy(world);
  const HandingProxy::One one = proxy.Run(1);
  proxy.Hand(proxy.ServerSpan(one));
  proxy.Hand(proxy.ServerSpan(one));  // the same again
  Handing self = proxy.ClientSpan(one);
  self.parent = self.id;
  proxy.Hand(self);
  Handing circle;
  circle.tgid = HandingProxy::kTgid;
  circle.kind = SpanKind::kInternal;
  circle.id = 300;
  circle.parent = 301;
  proxy.Hand(circle);
  circle.id = 301;
  circle.parent = 300;
  circle.end_ns = UINT64_MAX - kWallNs;
  proxy.Hand(circle);
  world.Pass(1100);
  for (int i = 0; i < 15; ++i) world.Pass(100);
  CHECK(world.lone().size() == 3);
  CHECK(world[one.server_id].handed != nullptr);
  CHECK(world[one.client_id].handed != nullptr);
}

TEST_CASE("handed: more spans than there is room for go at once", "[link]") {
  World world;
  HandingProxy proxy(world);
  Handing handing;
  handing.tgid = HandingProxy::kTgid;
  constexpr size_t kCount = HandedSpans::kMaxSpans / HandedSpans::kShares + 1000;
  for (size_t i = 1; i <= kCount; ++i) {
    handing.id = i;
    proxy.Hand(handing);
  }
  CHECK(world.lone().size() == 1000);
  CHECK(Handed(world).overflow == 1000);
  handing.tgid = 8;  // another process has room
  handing.id = 1;
  proxy.Hand(handing);
  CHECK(world.lone().size() == 1000);
  for (int i = 0; i < 12; ++i) world.Pass(100);
  CHECK(world.lone().size() == kCount + 1);
}

TEST_CASE("handed: at the end of a run everything leaves", "[link]") {
  World world;
  HandingProxy proxy(world);
  const HandingProxy::One one = proxy.Run(1);
  proxy.Run(2);
  proxy.Hand(proxy.ServerSpan(one));
  HandingProxy::One none;
  none.server_span = 77;
  proxy.Hand(proxy.ServerSpan(none));
  world.End();
  CHECK(world.delivered() == 4);
  CHECK(world[one.server_id].handed != nullptr);
  CHECK(world.lone().size() == 1);
}

}  // namespace spantap::link_test
