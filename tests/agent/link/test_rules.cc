// SPDX-License-Identifier: Apache-2.0
//
// Each rule for links inside a process, where it holds and where it must abstain.
#include <catch2/catch.hpp>

#include "tests/agent/link/world.h"

namespace spantap::link_test {
namespace {

constexpr uint32_t kEnvoy = 100;
constexpr uint32_t kApp = 200;
const Headers kCurl = {{"Host", "shop"}, {"User-Agent", "curl/8"}, {"Accept", "*/*"}};

Headers With(Headers headers, const Headers& more) {
  headers.insert(headers.end(), more.begin(), more.end());
  return headers;
}
Headers ByEnvoy(const Headers& headers, char trace = '\0', char span = '\0') {
  Headers out = With(headers, {{"x-forwarded-proto", "http"},
                               {"x-request-id", "26930273-aaaa-4aaa-8aaa-aaaaaaaaaaaa"},
                               {"x-envoy-expected-rq-timeout-ms", "15000"}});
  if (trace != '\0') out.push_back({"traceparent", Parent(trace, span)});
  return out;
}

}  // namespace

TEST_CASE("wire: a verbatim traceparent links, and the client gets an id of its own", "[link]") {
  World world;
  const Headers head = With(kCurl, {{"traceparent", Parent('a', 'b')}});
  Exchange* other = world.Read(kApp, 1, "/x", With(kCurl, {{"traceparent", Parent('c', 'd')}}));
  Exchange* in = world.Read(kApp, 1, "/x", head);
  Exchange* out = world.Write(kApp, 1, "/y", head);
  world.Answer(out);
  world.Answer(in);
  world.Answer(other);
  world.End();
  CHECK(world.IsChild(3, 2));
  CHECK(world[3].rule == LinkRule::kWire);
  CHECK(world[3].confidence == 1.0);
  CHECK(FormatHex(world[3].span_id) != std::string(16, 'b'));
  CHECK(FormatHex(world[2].parent_span_id) == std::string(16, 'b'));
  CHECK(world[2].parent_is_remote);
  CHECK(world[2].rule == LinkRule::kWire);
}

TEST_CASE("wire: a minted parent-id in the trace of one open request links and becomes the span id", "[link]") {
  World world;
  Exchange* in = world.Read(kEnvoy, 1, "/x", With(kCurl, {{"traceparent", Parent('a', 'b')}}));
  Exchange* other = world.Read(kEnvoy, 1, "/x", With(kCurl, {{"traceparent", Parent('c', 'd')}}));
  Exchange* out = world.Write(kEnvoy, 1, "/x", With(kCurl, {{"traceparent", Parent('a', 'e')}}));
  world.Answer(out);
  world.Answer(in);
  world.Answer(other);
  world.End();
  CHECK(world.IsChild(3, 1));
  CHECK(world[3].rule == LinkRule::kWire);
  CHECK(FormatHex(world[3].span_id) == std::string(16, 'e'));
}

TEST_CASE("wire: two open requests of one trace are told apart by their heads", "[link]") {
  World world;
  Exchange* a = world.Read(kEnvoy, 1, "/a", With(kCurl, {{"traceparent", Parent('a', 'b')}}));
  Exchange* b = world.Read(kEnvoy, 1, "/b", With(kCurl, {{"traceparent", Parent('a', 'c')}}));
  Exchange* out = world.Write(kEnvoy, 1, "/b", With(kCurl, {{"traceparent", Parent('a', 'd')}}));
  world.Answer(out);
  world.Answer(b);
  world.Answer(a);
  world.End();
  CHECK(world.IsChild(3, 2));
  CHECK(world[3].rule == LinkRule::kProxy);
}

TEST_CASE("request-id: by rarity, the version digit does not matter", "[link]") {
  World world;
  Exchange* other = world.Read(kEnvoy, 1, "/x", With(kCurl, {{"x-request-id", "unrelated"}}));
  Exchange* in = world.Read(kEnvoy, 1, "/x", With(kCurl, {{"X-Request-Id", "11111111-2222-4333-8444-555555555555"}}));
  Exchange* out = world.Write(kEnvoy, 1, "/y", With(kCurl, {{"x-request-id", "11111111-2222-9333-8444-555555555555"}}));
  for (Exchange* exchange : {out, in, other}) world.Answer(exchange);
  world.End();
  CHECK(world.IsChild(3, 2));
  CHECK(world[3].rule == LinkRule::kRequestId);
  CHECK(world[3].confidence == 0.99);

  SECTION("seen before, it is worth less; on everything, nothing") {
    for (int i = 0; i < 20; ++i) world.Answer(world.Read(kEnvoy, 1, "/x", With(kCurl, {{"x-request-id", "const"}})));
    Exchange* open = world.Read(kEnvoy, 1, "/busy");
    Exchange* constant = world.Read(kEnvoy, 1, "/x", With(kCurl, {{"x-request-id", "const"}}));
    Exchange* child = world.Write(kEnvoy, 1, "/z", With(kCurl, {{"x-request-id", "const"}}));
    const uint64_t id = child->id;
    for (Exchange* exchange : {child, constant, open}) world.Answer(exchange);
    world.End();
    CHECK(world[id].rule == LinkRule::kNone);
  }
}

TEST_CASE("proxy: the one open request that agrees", "[link]") {
  World world;
  Exchange* in[3];
  for (int i = 0; i < 3; ++i) in[i] = world.Read(kEnvoy, 1, "/item/" + std::to_string(i), kCurl);
  Exchange* out[3];
  for (int i : {2, 0, 1}) out[i] = world.Write(kEnvoy, 1, "/item/" + std::to_string(i), ByEnvoy(kCurl, 'a', "def"[i]));
  for (int i : {1, 0, 2}) {
    world.Answer(out[i]);
    world.Answer(in[i]);
  }
  world.End();
  for (int i = 0; i < 3; ++i) {
    const uint64_t server = static_cast<uint64_t>(i) + 1;
    const uint64_t client = i == 2 ? 4 : i == 0 ? 5 : 6;
    CHECK(world.IsChild(client, server));
    CHECK(world[client].rule == LinkRule::kProxy);
    CHECK(world[client].confidence == 0.99);
    // Envoy minted the trace on the way out: it is the whole hop's.
    CHECK(FormatHex(world[server].trace_id) == std::string(32, 'a'));
    CHECK(world[server].rule == LinkRule::kNone);
  }
}

TEST_CASE("proxy: who passes a request on over FastCGI is a gateway from the first one on", "[link]") {
  for (const absl::string_view protocol : {"http", "fastcgi"}) {
    World world;
    Exchange* a = world.Read(kApp, 1, "/a", kCurl);
    Exchange* b = world.Read(kApp, 1, "/b", kCurl);
    world.Over(protocol);
    Exchange* out = world.Write(kApp, 1, "/a", kCurl);
    for (Exchange* done : {out, a, b}) world.Answer(done);
    world.End();
    CAPTURE(protocol);
    CHECK(world.IsChild(3, 1) == (protocol == "fastcgi"));
    if (protocol == "fastcgi") CHECK(world[3].confidence == 0.99);
  }
}

TEST_CASE("proxy: what proxies add and rewrite is not compared", "[link]") {
  World world;
  Exchange* busy = world.Read(kEnvoy, 1, "/other", kCurl);
  Exchange* in =
      world.Read(kEnvoy, 1, "http://shop/item/7?q=1",
                 {{"Host", "shop"}, {"USER-AGENT", "x"}, {"Connection", "keep-alive"}, {"Expect", "100-continue"}});
  Exchange* out = world.Write(kEnvoy, 1, "/item/7?q=1",
                              {{"user-agent", "x"},
                               {"host", "10.0.0.7:80"},
                               {"via", "1.1 p"},
                               {"x-real-ip", "10.0.0.9"},
                               {"connection", "close"},
                               {"proxy-x", "y"},
                               {"X-B3-TraceId", "z"}});
  for (Exchange* exchange : {out, in, busy}) world.Answer(exchange);
  world.End();
  CHECK(world.IsChild(3, 2));
  CHECK(world[3].rule == LinkRule::kProxy);
}

TEST_CASE("proxy: a retry hangs on the same request, each try with an id of its own", "[link]") {
  World world;
  Exchange* busy = world.Read(kEnvoy, 1, "/other", kCurl);
  Exchange* in = world.Read(kEnvoy, 1, "/item/1", kCurl);
  for (int i = 0; i < 2; ++i)
    world.Answer(world.Write(kEnvoy, 1, "/item/1", ByEnvoy(kCurl, 'a', 'b')), 1, i == 0 ? 503 : 200);
  world.Answer(in);
  world.Answer(busy);
  world.End();
  CHECK(world.IsChild(3, 2));
  CHECK(world.IsChild(4, 2));
  CHECK(FormatHex(world[3].span_id) == std::string(16, 'b'));
  CHECK(world[4].span_id != world[3].span_id);
}

TEST_CASE("proxy: an added header or a rewritten path lowers it, a changed header refuses it", "[link]") {
  struct Row {
    int line;
    const char* target;
    Headers headers;
    double confidence;  // 0: no link
  };
  const Row rows[] = {
      {__LINE__, "/api/item/1", With(kCurl, {{"x-tenant", "a"}, {"x-forwarded-for", "::1"}}), 0.95},
      {__LINE__, "/item/1", With(kCurl, {{"x-forwarded-for", "::1"}}), 0.92},
      {__LINE__, "/api/item/1", {{"user-agent", "curl/9"}, {"accept", "*/*"}}, 0},
      {__LINE__, "/api/item/1", {{"user-agent", "curl/8"}}, 0},
      {__LINE__, "/1", kCurl, 0},
      {__LINE__, "/else", kCurl, 0},
  };
  for (const Row& row : rows) {
    INFO("row of line " << row.line);
    World world;
    Exchange* busy = world.Read(kEnvoy, 1, "/other", kCurl);
    Exchange* in = world.Read(kEnvoy, 1, "/api/item/1", kCurl);
    Exchange* out = world.Write(kEnvoy, 1, row.target, row.headers);
    for (Exchange* exchange : {out, in, busy}) world.Answer(exchange);
    world.End();
    CHECK((world[3].rule == LinkRule::kProxy) == (row.confidence > 0));
    if (row.confidence > 0) {
      CHECK(world.IsChild(3, 2));
      CHECK(world[3].confidence == row.confidence);
    } else {
      CHECK(world[3].rule == LinkRule::kNone);
      CHECK(world[3].refused != "");
    }
  }
}

TEST_CASE("proxy: a body that the proxy collected gets a length", "[link]") {
  World world;
  Exchange* busy = world.Read(kEnvoy, 1, "/other", kCurl);
  Exchange* in = world.Read(kEnvoy, 1, "/up", With(kCurl, {{"transfer-encoding", "chunked"}}));
  Exchange* out = world.Write(kEnvoy, 1, "/up", With(kCurl, {{"content-length", "10"}}));
  for (Exchange* exchange : {out, in, busy}) world.Answer(exchange);
  world.End();
  CHECK(world.IsChild(3, 2));
}

TEST_CASE("proxy: a head cut at the cap proves nothing", "[link]") {
  World world;
  Exchange* busy = world.Read(kEnvoy, 2, "/other", kCurl);
  auto cut = std::make_unique<Exchange>();
  cut->id = 0;
  cut->tgid = kEnvoy;
  cut->request = MakeHead({"GET", "/x"}, {});
  cut->request.truncated = true;
  world.linker().OnRequest(*cut);
  Exchange* out = world.Write(kEnvoy, 1, "/x", kCurl);
  for (Exchange* exchange : {out, busy}) world.Answer(exchange);
  cut->end_ns = world.now_ns();
  world.linker().OnFinished(std::move(cut));
  world.End();
  CHECK(world[2].rule == LinkRule::kNone);
}

TEST_CASE("proxy: not for an application whose calls look like requests by chance", "[link]") {
  // Requests /a and / are open; those to /a call / of the next service with the same client library.
  World world;
  int wrong = 0;
  for (int round = 0; round < 40; ++round) {
    Exchange* a = world.Read(kApp, 1, "/a", kCurl);
    const uint64_t a_id = a->id;
    Exchange* root = round % 2 == 0 ? world.Read(kApp, 1, "/", kCurl) : nullptr;
    Exchange* out = world.Write(kApp, 1, "/", kCurl);
    const uint64_t id = out->id;
    world.Answer(out);
    world.Answer(a);
    if (root != nullptr) world.Answer(root);
    world.Pass(3000);
    if (round % 2 == 0 && round > 24 && world[id].rule != LinkRule::kNone && !world.IsChild(id, a_id)) ++wrong;
  }
  world.End();
  CHECK(wrong == 0);
}

TEST_CASE("thread: a known thread-per-request process", "[link]") {
  World world;
  for (int i = 0; i < 20; ++i) {  // overlapping, each answered by its reader
    Exchange* a = world.Read(kApp, 1, "/a", kCurl);
    Exchange* b = world.Read(kApp, 2, "/b", kCurl);
    world.Answer(a);
    world.Answer(b);
  }
  Exchange* a = world.Read(kApp, 1, "/a", kCurl);
  Exchange* b = world.Read(kApp, 2, "/b", kCurl);
  Exchange* from_b = world.Write(kApp, 2, "/db");
  Exchange* from_a = world.Write(kApp, 1, "/db");
  Exchange* from_nobody = world.Write(kApp, 3, "/db");
  const uint64_t ids[] = {a->id, b->id, from_b->id, from_a->id, from_nobody->id};
  for (Exchange* exchange : {from_nobody, from_a, from_b, b, a}) world.Answer(exchange);
  world.End();
  CHECK(world.IsChild(ids[2], ids[1]));
  CHECK(world.IsChild(ids[3], ids[0]));
  CHECK(world[ids[2]].rule == LinkRule::kThread);
  CHECK(world[ids[2]].confidence == 0.99);
  CHECK(world[ids[4]].rule == LinkRule::kNone);
}

TEST_CASE("thread: before the process is known, four moments on one thread", "[link]") {
  World world;
  for (int i = 0; i < 2; ++i) {
    Exchange* a = world.Read(kApp, 1, "/a", kCurl);
    Exchange* b = world.Read(kApp, 2, "/b", kCurl);
    world.Answer(a);
    world.Answer(b);
  }
  Exchange* a = world.Read(kApp, 1, "/a", kCurl);
  Exchange* b = world.Read(kApp, 2, "/b", kCurl);
  Exchange* from_b = world.Write(kApp, 2, "/db");
  Exchange* from_a = world.Write(kApp, 1, "/db");
  REQUIRE(a->id == 5);
  SECTION("nested") {
    world.Answer(from_a);
    world.Answer(from_b);
    world.Answer(b);
    world.Answer(a);
    world.End();
    CHECK(world.IsChild(7, 6));
    CHECK(world.IsChild(8, 5));
    CHECK(world[7].rule == LinkRule::kThread);
    CHECK(world[7].confidence == 0.98);
  }
  SECTION("answered by another thread") {
    world.Answer(from_a);
    world.Answer(from_b);
    world.Answer(b, 1);
    world.Answer(a);
    world.End();
    CHECK(world[7].rule == LinkRule::kNone);
    CHECK(world[8].rule == LinkRule::kNone);
  }
  SECTION("aborted") {
    world.Finish(b, ExchangeError::kConnectionReset);
    world.Answer(from_b);
    world.Answer(from_a);
    world.Answer(a);
    world.End();
    CHECK(world[7].rule == LinkRule::kNone);
    CHECK(world[7].refused != "");
    CHECK(world.IsChild(8, 5));
  }
}

TEST_CASE("thread: never for an event loop", "[link]") {
  World world;
  for (int i = 0; i < 30; ++i) {
    Exchange* a = world.Read(kApp, 1, "/a", kCurl);
    Exchange* b = world.Read(kApp, 1, "/b", kCurl);
    Exchange* out = world.Write(kApp, 1, "/db");
    const uint64_t id = out->id;
    for (Exchange* exchange : {out, a, b}) world.Answer(exchange);
    world.Pass(3000);
    CHECK(world[id].rule == LinkRule::kNone);
  }
}

TEST_CASE("calm: one request open", "[link]") {
  World world;
  Exchange* in = world.Read(kApp, 1, "/a", kCurl);
  for (int i = 0; i < 2; ++i) world.Answer(world.Write(kApp, 7, "/db" + std::to_string(i)));
  world.Answer(in);
  world.End();
  CHECK(world.IsChild(2, 1));
  CHECK(world.IsChild(3, 1));
  CHECK(world[2].rule == LinkRule::kCalm);
  CHECK(world[2].confidence == 0.99);
}

TEST_CASE("calm: not for what the process sends on its own", "[link]") {
  World world;
  for (int i = 0; i < 3; ++i) world.Answer(world.Write(kApp, 7, "/poll"));
  Exchange* in = world.Read(kApp, 1, "/a", kCurl);
  Exchange* poll = world.Write(kApp, 7, "/poll");
  const uint64_t id = poll->id;
  world.Answer(poll);
  world.Answer(in);
  world.End();
  CHECK(world[id].rule == LinkRule::kNone);
  CHECK(world[id].refused == "background");
  CHECK(world[1].refused.empty());
  CHECK(world.counters().refused_unknown == 3);
}

TEST_CASE("calm: not for a proxy's health checks", "[link]") {
  World world;
  Exchange* in = world.Read(kEnvoy, 1, "/a", kCurl);
  world.Answer(world.Write(kEnvoy, 1, "/a", ByEnvoy(kCurl)));
  Exchange* check = world.Write(kEnvoy, 1, "/healthz", {{"user-agent", "Envoy/HC"}});
  const uint64_t id = check->id;
  world.Answer(check);
  world.Answer(in);
  world.End();
  CHECK(world.IsChild(2, 1));
  CHECK(world[id].rule == LinkRule::kNone);
  CHECK(world[id].refused == "other_head");
}

TEST_CASE("records are being lost: what rests on the others that are open is a candidate", "[link]") {
  World world;
  for (int i = 0; i < 70; ++i) world.Answer(world.Read(kEnvoy, 1, "/common"));  // what is rare is known
  world.Lossy(true);
  const auto link = [&](uint32_t tgid, const std::string& in, const std::string& out, const Headers& headers) {
    Exchange* const server = world.Read(tgid, 1, in, headers);
    Exchange* const client = world.Write(tgid, 1, out, headers);
    const uint64_t id = client->id;
    world.Answer(client);
    world.Answer(server);
    return id;
  };
  const uint64_t alone = link(kApp, "/a", "/db", kCurl);
  const uint64_t common = link(kEnvoy, "/common", "/common", kCurl);
  const uint64_t rare = link(kEnvoy, "/rare", "/rare", kCurl);
  const uint64_t named = link(kApp, "/b", "/b/c", {{"x-request-id", "9f8e7d6c"}});
  world.Lossy(false);
  const uint64_t after = link(kApp, "/a", "/db", kCurl);
  world.End();
  for (const uint64_t id : {alone, common}) {
    CHECK(world[id].rule == LinkRule::kNone);
    CHECK(world[id].refused == "records_lost");
  }
  CHECK(world[rare].rule == LinkRule::kProxy);
  CHECK(world[named].rule == LinkRule::kRequestId);
  CHECK(world[after].rule == LinkRule::kCalm);
}

TEST_CASE("a request sent after everything was answered is a root", "[link]") {
  World world;
  world.Answer(world.Read(kApp, 1, "/a", kCurl));
  world.Answer(world.Write(kApp, 1, "/a", kCurl));
  world.End();
  CHECK(world[2].rule == LinkRule::kNone);
  CHECK(world[2].refused.empty());
  CHECK(world.counters().refused_unknown == 1);
}

TEST_CASE("the exporter's own requests are counted and never seen", "[link]") {
  World world;
  const Headers exporter = {{"user-agent", "OTel-OTLP-Exporter-Cpp/1.40"}, {"host", "collector"}};
  Exchange* in = world.Read(kEnvoy, 1, "/a", kCurl);
  Tcp tcp = world.Connect(kEnvoy, kApp);
  Exchange* out = world.Write(tcp.client, 1, "/v1/traces", exporter, "POST");
  Exchange* received = world.Read(tcp.server, 1, "/v1/traces", exporter, "POST");
  Exchange* rpc =
      world.Write(tcp.client, 1, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", exporter, "POST");
  Exchange* others = world.Write(kEnvoy, 1, "/v1/traces", kCurl);
  for (Exchange* exchange : {received, out, rpc, others, in}) world.Answer(exchange);
  world.End();
  CHECK(world.counters().own_export_skipped == 3);
  CHECK(world.delivered() == 2);
  CHECK(world.Find(2) == nullptr);
}

}  // namespace spantap::link_test
