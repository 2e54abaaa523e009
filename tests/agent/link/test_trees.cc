// SPDX-License-Identifier: Apache-2.0
//
// Connection join, ids, adoption, sampling: whole traces over several processes.
#include <catch2/catch.hpp>

#include "tests/agent/link/world.h"

namespace spantap::link_test {
namespace {

constexpr uint32_t kGateway = 100;
constexpr uint32_t kApp = 200;
constexpr uint32_t kSidecar = 300;
const Headers kCurl = {{"Host", "shop"}, {"User-Agent", "curl/8"}};

Headers Traced(char trace, char span, const char* flags = "01") {
  Headers headers = kCurl;
  headers.push_back({"traceparent", Parent(trace, span, flags)});
  return headers;
}
std::string Hex(char digit) { return std::string(32, digit); }

}  // namespace

TEST_CASE("join: either end may come first", "[link]") {
  const bool server_first = GENERATE(true, false);
  const uint8_t client_family = GENERATE(as<uint8_t>{}, SPANTAP_FAMILY_INET, SPANTAP_FAMILY_INET6);
  World world;
  Tcp tcp = world.Connect(kGateway, kApp);
  if (client_family == SPANTAP_FAMILY_INET6) {  // v4-mapped at one end only
    ConnectionEnds& endpoint = tcp.client.endpoint;
    const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
    endpoint.family = SPANTAP_FAMILY_INET6;
    std::memcpy(endpoint.local_addr, mapped, 16);
  }
  tcp.server.endpoint.local_port = 8080;  // the server's address was translated
  for (int i = 0; i < 2; ++i) {           // keep-alive: every request is joined by its own position
    Exchange* client = server_first ? nullptr : world.Write(tcp.client, 1, "/a", kCurl);
    Exchange* server = world.Read(tcp.server, 1, "/a", kCurl);
    if (client == nullptr) client = world.Write(tcp.client, 1, "/a", kCurl);
    const uint64_t client_id = client->id, server_id = server->id;
    world.Answer(server);
    world.Answer(client);
    world.Pass(100);
    REQUIRE(world.Find(client_id) != nullptr);
    CHECK(world.IsChild(server_id, client_id));
    CHECK(world[server_id].rule == LinkRule::kConnection);
    CHECK(world[server_id].confidence == 1.0);
    CHECK_FALSE(world[server_id].parent_is_remote);
    CHECK(world[server_id].depth == 1);
  }
}

TEST_CASE("join: only the two ends of one connection", "[link]") {
  World world;
  Tcp tcp = world.Connect(kGateway, kApp);
  ConnectionEnds& server = tcp.server.endpoint;
  std::string target = "/a";
  SECTION("another client address") { server.peer_addr[3] = 9; }
  SECTION("another port") { server.peer_port ^= 1; }
  SECTION("another position") { tcp.server.position += 1; }
  SECTION("another head") { target = "/b"; }
  SECTION("addresses unknown") { server.family = 0; }
  Exchange* out = world.Write(tcp.client, 1, "/a", kCurl);
  Exchange* in = world.Read(tcp.server, 1, target, kCurl);
  world.Answer(in);
  world.Answer(out);
  world.End();
  CHECK(world[2].rule == LinkRule::kNone);
  CHECK(world.trees().size() == 2);
}

TEST_CASE("join: Unix sockets by pair and position", "[link]") {
  World world;
  Tcp pair = world.Connect(kGateway, kApp);
  for (Side* side : {&pair.client, &pair.server}) {
    side->endpoint.family = SPANTAP_FAMILY_UNIX;
    side->endpoint.unix_pair = 77;
    side->endpoint.local_port = side->endpoint.peer_port = 0;
    side->position = 0;
  }
  Exchange* out = world.Write(pair.client, 1, "/a", kCurl);
  Exchange* in = world.Read(pair.server, 1, "/a", kCurl);
  world.Answer(in);
  world.Answer(out);
  world.End();
  CHECK(world.IsChild(2, 1));
}

TEST_CASE("join: late, but within the settle time; a connection that never joins does not wait as long", "[link]") {
  World world;
  Tcp tcp = world.Connect(kGateway, kApp);
  world.Answer(world.Read(tcp.server, 1, "/a", kCurl));
  world.Pass(30);
  CHECK(world.delivered() == 0);
  Exchange* late = world.Write(tcp.client, 1, "/a", kCurl);
  world.Answer(late);
  world.Pass(100);
  CHECK(world.IsChild(1, 2));
  CHECK(world.trees().size() == 1);

  Tcp lonely = world.Connect(0, kApp);
  for (const int wait_ms : {100, 5, 5}) {
    const size_t before = world.delivered();
    world.Answer(world.Read(lonely.server, 1, "/a", kCurl));
    world.Pass(1);
    CHECK(world.delivered() == before);
    world.Pass(static_cast<uint64_t>(wait_ms));
    CHECK(world.delivered() == before + 1);
  }
}

TEST_CASE("join: an encrypted leg is bridged by the parent-id that one end minted", "[link]") {
  World world;
  Exchange* in = world.Read(kGateway, 1, "/a", kCurl);
  Exchange* out = world.Write(kGateway, 1, "/a", Traced('a', 'b'));
  Exchange* next = world.Read(kSidecar, 1, "/a", Traced('a', 'b'));
  for (Exchange* exchange : {next, out, in}) world.Answer(exchange);
  world.End();
  CHECK(world.IsChild(3, 2));
  CHECK(world[3].rule == LinkRule::kWire);
  CHECK_FALSE(world[3].parent_is_remote);
  CHECK(world.trees().size() == 1);
}

TEST_CASE("join: across processes by an x-request-id that only one client sent", "[link]") {
  World world;
  Headers head = kCurl;
  head.push_back({"x-request-id", "11111111-2222-4333-8444-555555555555"});
  Exchange* out = world.Write(kGateway, 1, "/a", head);
  const bool twice = GENERATE(false, true);
  Exchange* again = twice ? world.Write(kGateway, 1, "/a", head) : nullptr;
  Exchange* next = world.Read(kSidecar, 1, "/a", head);
  const uint64_t next_id = next->id;
  world.Answer(next);
  if (again != nullptr) world.Answer(again);
  world.Answer(out);
  world.End();
  CHECK(world[next_id].rule == (twice ? LinkRule::kNone : LinkRule::kRequestId));
  CHECK((world[next_id].parent_span_id == world[1].span_id) == !twice);
  CHECK(FormatHex(world[next_id].trace_id) == "11111111222243338444555555555555");
  CHECK(world[next_id].trace_id == world[1].trace_id);
}

TEST_CASE("ids: nginx passes a traceparent on, the spans still form one chain", "[link]") {
  World world;
  Tcp up = world.Connect(kGateway, kSidecar);
  Tcp app = world.Connect(kSidecar, kApp);
  Exchange* in = world.Read(kGateway, 1, "/a", Traced('a', 'b'));
  Exchange* out = world.Write(up.client, 1, "/a", Traced('a', 'b'));
  Exchange* next_in = world.Read(up.server, 2, "/a", Traced('a', 'b'));
  Exchange* next_out = world.Write(app.client, 2, "/a", Traced('a', 'b'));
  Exchange* last = world.Read(app.server, 3, "/a", Traced('a', 'b'));
  for (Exchange* exchange : {last, next_out, next_in, out, in}) world.Answer(exchange);
  world.End();
  REQUIRE(world.trees().size() == 1);
  std::vector<SpanId> seen;
  for (uint64_t id = 1; id <= 5; ++id) {
    CHECK(FormatHex(world[id].trace_id) == Hex('a'));
    CHECK(world[id].depth == id - 1);
    if (id > 1) CHECK(world.IsChild(id, id - 1));
    for (const SpanId& other : seen) CHECK(other != world[id].span_id);
    CHECK(FormatHex(world[id].span_id) != std::string(16, 'b'));
    seen.push_back(world[id].span_id);
  }
  CHECK(world[1].parent_is_remote);
  CHECK_FALSE(world[1].wire_trace_id.valid());
}

TEST_CASE("ids: an application that copies headers does not steal the sidecar's span id", "[link]") {
  World world;
  Tcp to_app = world.Connect(kSidecar, kApp);
  Exchange* in = world.Read(kSidecar, 1, "/a", kCurl);
  Exchange* minted = world.Write(to_app.client, 1, "/a", Traced('a', 'b'));
  Exchange* app_in = world.Read(to_app.server, 9, "/a", Traced('a', 'b'));
  Exchange* copied = world.Write(kApp, 9, "/b", Traced('a', 'b'));
  for (Exchange* exchange : {copied, app_in, minted, in}) world.Answer(exchange);
  world.End();
  CHECK(FormatHex(world[2].span_id) == std::string(16, 'b'));
  CHECK(FormatHex(world[4].span_id) != std::string(16, 'b'));
  CHECK(world.IsChild(4, 3));
  CHECK(world.IsChild(3, 2));
  CHECK(world.IsChild(2, 1));
}

TEST_CASE("ids: two traceparent lines are none", "[link]") {
  World world;
  Headers head = Traced('a', 'b');
  head.push_back({"traceparent", Parent('c', 'd')});
  world.Answer(world.Read(kApp, 1, "/a", head));
  world.End();
  CHECK(world[1].rule == LinkRule::kNone);
  CHECK(FormatHex(world[1].trace_id) != Hex('a'));
}

TEST_CASE("ids: derived from x-request-id, with its version digit set", "[link]") {
  World world;
  Headers head = kCurl;
  head.push_back({"x-request-id", "11111111-2222-9333-8444-555555555555"});
  Exchange* in = world.Read(kApp, 1, "/a", kCurl);
  Exchange* out = world.Write(kApp, 1, "/b", head);  // generated on the way out
  world.Answer(out);
  world.Answer(in);
  world.End();
  for (uint64_t id : {1, 2}) CHECK(FormatHex(world[id].trace_id) == "11111111222243338444555555555555");
  CHECK(world[1].flags == kFlagSampled);

  SECTION("not from one that 64 roots had within a minute") {
    Headers constant = kCurl;
    constant.push_back({"x-request-id", "22222222-2222-4333-8444-555555555555"});
    for (int i = 0; i < 70; ++i) world.Answer(world.Read(kApp, 1, "/a", constant));
    world.End();
    size_t derived = 0;
    for (uint64_t id = 3; id <= 72; ++id)
      derived += FormatHex(world[id].trace_id)[0] == '2' && FormatHex(world[id].trace_id)[1] == '2' &&
                 FormatHex(world[id].trace_id)[31] == '5';
    CHECK(derived == 64);
    CHECK(world.counters().request_id_reused == 6);
    world.Pass(61'000);
    world.Answer(world.Read(kApp, 1, "/a", constant));
    world.End();
    CHECK(FormatHex(world[73].trace_id) == "22222222222243338444555555555555");
  }
}

namespace {

// Gateway Envoy mints trace a; the application forwards nothing; its own sidecar mints trace c.
void TwoEnvoys(World& world) {
  Tcp to_app = world.Connect(kGateway, kApp);
  Tcp to_sidecar = world.Connect(kApp, kSidecar);
  Exchange* in = world.Read(kGateway, 1, "/front", kCurl);
  Exchange* minted = world.Write(to_app.client, 1, "/front", Traced('a', 'b'));
  Exchange* app_in = world.Read(to_app.server, 9, "/front", Traced('a', 'b'));
  Exchange* app_out = world.Write(to_sidecar.client, 9, "/back", {{"user-agent", "app"}});
  Exchange* side_in = world.Read(to_sidecar.server, 1, "/back", {{"user-agent", "app"}});
  Headers again = {{"user-agent", "app"}, {"traceparent", Parent('c', 'd')}};
  Exchange* side_out = world.Write(kSidecar, 1, "/back", again);
  for (Exchange* exchange : {side_out, side_in, app_out, app_in, minted, in}) world.Answer(exchange);
  world.End();
}

}  // namespace

TEST_CASE("adoption: behind an application that forwards nothing, all join the parent's trace", "[link]") {
  World world;
  TwoEnvoys(world);
  REQUIRE(world.trees().size() == 1);
  for (uint64_t id = 1; id <= 6; ++id) {
    INFO(id);
    CHECK(FormatHex(world[id].trace_id) == Hex('a'));
    if (id > 1) CHECK(world.IsChild(id, id - 1));
  }
  CHECK(world[4].rule == LinkRule::kCalm);
  CHECK(FormatHex(world[6].wire_trace_id) == Hex('c'));
  CHECK(FormatHex(world[6].wire_parent_id) == std::string(16, 'd'));
  CHECK(FormatHex(world[6].span_id) == std::string(16, 'd'));
  for (uint64_t id = 1; id <= 5; ++id) CHECK_FALSE(world[id].wire_trace_id.valid());
  CHECK(world.counters().adopted == 1);
}

TEST_CASE("adoption: off, an id on the wire is never replaced", "[link]") {
  LinkSettings settings;
  settings.adopt = false;
  World world(settings);
  TwoEnvoys(world);
  for (uint64_t id = 1; id <= 5; ++id) CHECK(FormatHex(world[id].trace_id) == Hex('a'));
  CHECK(FormatHex(world[6].trace_id) == Hex('c'));
  CHECK_FALSE(world[6].parent_span_id.valid());
  CHECK(world[6].rule == LinkRule::kNone);
  CHECK(world[6].depth == 0);
  CHECK(world.counters().adopted == 0);
}

TEST_CASE("sampling: the decision that came in, else the ratio, once for the whole tree", "[link]") {
  LinkSettings settings;
  settings.sample_ratio = 0.0;
  SECTION("it came in: kept") {
    settings.sample_ratio = GENERATE(0.0, 1.0);
    const bool yes = GENERATE(true, false);
    World world(settings);
    Exchange* in = world.Read(kApp, 1, "/a", Traced('a', 'b', yes ? "01" : "00"));
    Exchange* out = world.Write(kApp, 1, "/b");
    world.Answer(out);
    world.Answer(in);
    world.End();
    for (uint64_t id : {1, 2}) {
      CHECK(world[id].sampled == yes);
      CHECK((world[id].flags & kFlagSampled) == (yes ? kFlagSampled : 0));
    }
    CHECK(world.counters().unsampled == (yes ? 0 : 2));
  }
  SECTION("it came in, not parent-based: the ratio decides") {
    settings.sample_ratio = GENERATE(0.0, 1.0);
    settings.sample_parent_based = false;
    const char* const flags = GENERATE("00", "01");
    World world(settings);
    world.Answer(world.Read(kApp, 1, "/a", Traced('a', 'b', flags)));
    world.End();
    CHECK(world[1].sampled == (settings.sample_ratio == 1.0));
    CHECK((world[1].flags & kFlagSampled) == (world[1].sampled ? kFlagSampled : 0));
  }
  SECTION("minted on the way out: a new root's, by ratio") {
    World world(settings);
    Exchange* in = world.Read(kApp, 1, "/a", kCurl);
    Exchange* out = world.Write(kApp, 1, "/a", Traced('a', 'b'));
    world.Answer(out);
    world.Answer(in);
    world.End();
    for (uint64_t id : {1, 2}) CHECK_FALSE(world[id].sampled);
    CHECK(world.delivered() == 2);
  }
  SECTION("new roots: about the ratio of them") {
    settings.sample_ratio = 0.25;
    World world(settings);
    int sampled = 0;
    for (int i = 0; i < 2000; ++i) world.Answer(world.Read(kApp, 1, "/a", kCurl));
    world.End();
    for (uint64_t id = 1; id <= 2000; ++id) sampled += world[id].sampled;
    CHECK(sampled > 400);
    CHECK(sampled < 600);
  }
}

}  // namespace spantap::link_test
