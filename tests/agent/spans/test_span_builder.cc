// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <ctime>
#include <iostream>

#include "agent/spans/span_builder.h"
#include "tests/agent/spans/exchange_maker.h"

namespace spantap {
namespace {

constexpr uint64_t kOffset = 1'700'000'000'000'000'000;

Span Build(const LinkedExchange& linked, SpanStyle style = {}) { return BuildSpan(linked, style, kOffset, nullptr); }

TEST_CASE("span: a server exchange by the HTTP conventions", "[spans]") {
  const LinkedExchange linked = MakeLinked(
      Role::kServer, "GET", "/shop/cart?id=7", 200,
      {{"Host", "shop.example:8443"}, {"User-Agent", "curl/8"}, {"X-Request-Id", "abc-1"}, {"Accept", "*/*"}});
  const Span span = Build(linked);
  CHECK(span.name == "GET");
  CHECK(span.kind == SpanKind::kServer);
  CHECK(span.status == StatusCode::kUnset);
  CHECK(span.start_unix_ns == kOffset + 1'000'000'000);
  CHECK(span.end_unix_ns == kOffset + 1'012'500'000);
  CHECK(span.links.empty());
  const AttributeReader got(span.attributes);
  CHECK(got.duplicates() == 0);
  CHECK(got["http.request.method"] == "GET");
  CHECK(got["url.path"] == "/shop/cart");
  CHECK(got["url.query"] == "id=7");
  CHECK(got["url.scheme"] == "http");
  CHECK_FALSE(got.Has("url.full"));
  CHECK(got["server.address"] == "shop.example");
  CHECK(got["server.port"] == "8443");
  CHECK(got["client.address"] == "10.0.0.2");
  CHECK(got["network.peer.address"] == "10.0.0.2");
  CHECK(got["network.peer.port"] == "41000");
  CHECK(got["network.protocol.version"] == "1.1");
  CHECK(got["user_agent.original"] == "curl/8");
  CHECK(got["http.response.status_code"] == "200");
  CHECK(got["http.response.body.size"] == "0");
  CHECK(got["http.request.header.x-request-id"] == "[abc-1]");
  CHECK_FALSE(got.Has("error.type"));
  CHECK_FALSE(got.Has("spantap.link.rule"));
  CHECK_FALSE(got.Has("http.request.body.size"));
}

TEST_CASE("span: a client exchange by the HTTP conventions", "[spans]") {
  LinkedExchange linked = MakeLinked(Role::kClient, "POST", "/pay?sig=abc&x=1", 404, {{"host", "payments"}});
  linked.exchange->request_body_bytes = 321;
  linked.exchange->response_body_bytes = 99;
  const Span span = Build(linked);
  CHECK(span.kind == SpanKind::kClient);
  CHECK(span.status == StatusCode::kError);
  CHECK(span.status_message.empty());
  const AttributeReader got(span.attributes);
  CHECK(got["url.full"] == "http://payments/pay?sig=REDACTED&x=1");
  CHECK_FALSE(got.Has("url.path"));
  CHECK_FALSE(got.Has("client.address"));
  CHECK(got["server.address"] == "payments");
  CHECK(got["server.port"] == "9080");
  CHECK(got["network.peer.port"] == "9080");
  CHECK(got["error.type"] == "404");
  CHECK(got["http.request.body.size"] == "321");
  CHECK(got["http.response.body.size"] == "99");
}

TEST_CASE("span: FastCGI says so, and what CGI says of client and scheme", "[spans]") {
  for (const Role role : {Role::kServer, Role::kClient}) {
    LinkedExchange linked = MakeLinked(role, "GET", "/a", 200, {{"host", "shop.example:8443"}, {"remote", "10.9.9.9"}});
    HttpHead& head = linked.exchange->request;
    head.protocol = "fastcgi";
    head.version = 10;
    head.scheme = "https";
    head.client = head.headers[1].value;
    const Span span = BuildSpan(linked, {}, 0, nullptr);
    const AttributeReader got(span.attributes);
    CHECK(got["network.protocol.name"] == "fastcgi");
    CHECK(got["network.protocol.version"] == "1.0");
    if (role == Role::kServer) {
      CHECK(got["url.scheme"] == "https");
      CHECK(got["client.address"] == "10.9.9.9");
      CHECK(got["server.address"] == "shop.example");
      CHECK(got["server.port"] == "8443");
    } else {
      CHECK(got["url.full"] == "https://shop.example:8443/a");
      // Who answers is no web server of that name.
      CHECK(got["server.address"] == "10.0.0.2");
      CHECK(got["server.port"] == "9080");
    }
  }
}

TEST_CASE("span: status by code, kind and failure", "[spans]") {
  struct Row {
    int line;
    Role role;
    uint16_t code;
    ExchangeError error;
    bool is_error;
    const char* type;
  };
  const Row rows[] = {
      {__LINE__, Role::kServer, 101, ExchangeError::kNone, false, "(absent)"},
      {__LINE__, Role::kServer, 302, ExchangeError::kNone, false, "(absent)"},
      {__LINE__, Role::kServer, 404, ExchangeError::kNone, false, "(absent)"},
      {__LINE__, Role::kClient, 399, ExchangeError::kNone, false, "(absent)"},
      {__LINE__, Role::kClient, 400, ExchangeError::kNone, true, "400"},
      {__LINE__, Role::kServer, 500, ExchangeError::kNone, true, "500"},
      {__LINE__, Role::kServer, 503, ExchangeError::kNone, true, "503"},
      {__LINE__, Role::kClient, 503, ExchangeError::kNone, true, "503"},
      {__LINE__, Role::kServer, 0, ExchangeError::kConnectionReset, true, "connection_reset"},
      {__LINE__, Role::kClient, 0, ExchangeError::kConnectionReset, true, "connection_reset"},
      {__LINE__, Role::kServer, 200, ExchangeError::kResponseAborted, true, "response_aborted"},
      {__LINE__, Role::kServer, 503, ExchangeError::kResponseAborted, true, "response_aborted"},
      {__LINE__, Role::kServer, 0, ExchangeError::kRequestAborted, true, "request_aborted"},
      {__LINE__, Role::kServer, 0, ExchangeError::kUnfinished, false, "(absent)"},
      {__LINE__, Role::kServer, 500, ExchangeError::kUnfinished, true, "500"},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    LinkedExchange linked = MakeLinked(row.role, "GET", "/", row.code, {{"host", "a"}});
    linked.exchange->error = row.error;
    const Span span = Build(linked);
    CHECK(span.status == (row.is_error ? StatusCode::kError : StatusCode::kUnset));
    const AttributeReader got(span.attributes);
    CHECK(got["error.type"] == row.type);
    CHECK(got.Has("http.response.status_code") == (row.code != 0));
    CHECK(got["spantap.unfinished"] == (row.error == ExchangeError::kUnfinished ? "true" : "(absent)"));
  }
}

TEST_CASE("span: methods outside the list do not become names", "[spans]") {
  for (const char* method : {"get", "FOO", "GETT", "PROPFIND"}) {
    const Span span = Build(MakeLinked(Role::kServer, method, "/", 200));
    CHECK(span.name == "HTTP");
    const AttributeReader got(span.attributes);
    CHECK(got["http.request.method"] == "_OTHER");
    CHECK(got["http.request.method_original"] == method);
  }
  CHECK(Build(MakeLinked(Role::kServer, "OPTIONS", "*", 200)).name == "OPTIONS");
  CHECK(AttributeReader(Build(MakeLinked(Role::kServer, "OPTIONS", "*", 200)).attributes)["url.path"] == "*");
}

TEST_CASE("span: forwarded headers name the client and the host it asked for", "[spans]") {
  const AttributeReader got(Build(MakeLinked(Role::kServer, "GET", "/", 200,
                                             {{"host", "inner:80"},
                                              {"x-forwarded-for", "203.0.113.9, 10.1.1.1"},
                                              {"x-forwarded-host", "public.example, inner"},
                                              {"x-forwarded-proto", "https"}}))
                                .attributes);
  CHECK(got["client.address"] == "203.0.113.9");
  CHECK(got["server.address"] == "public.example");
  CHECK(got["server.port"] == "443");
  CHECK(got["url.scheme"] == "https");
  CHECK(got["network.peer.address"] == "10.0.0.2");

  const AttributeReader rfc(
      Build(MakeLinked(Role::kServer, "GET", "/", 200,
                       {{"host", "inner"},
                        {"forwarded", "for=\"[2001:db8::1]:4711\";proto=https; host=a.example:444, for=x"}}))
          .attributes);
  CHECK(rfc["client.address"] == "2001:db8::1");
  CHECK(rfc["server.address"] == "a.example");
  CHECK(rfc["server.port"] == "444");
  CHECK(rfc["url.scheme"] == "https");

  // A client's request carries what its process was told: not its own destination.
  const AttributeReader client(
      Build(MakeLinked(Role::kClient, "GET", "/", 200,
                       {{"host", "next"}, {"x-forwarded-host", "public.example"}, {"x-forwarded-proto", "https"}}))
          .attributes);
  CHECK(client["server.address"] == "next");
  CHECK(client["url.full"] == "http://next/");

  const AttributeReader bad(
      Build(MakeLinked(Role::kServer, "GET", "/", 200, {{"x-forwarded-proto", "<script>"}})).attributes);
  CHECK(bad["url.scheme"] == "http");
}

TEST_CASE("span: targets of every form, and no credentials", "[spans]") {
  const AttributeReader proxy(
      Build(MakeLinked(Role::kClient, "GET", "http://bob:pw@origin.example:81/a?b=c#d", 200, {{"host", "ignored"}}))
          .attributes);
  CHECK(proxy["url.full"] == "http://REDACTED:REDACTED@origin.example:81/a?b=c");
  CHECK(proxy["server.address"] == "origin.example");
  CHECK(proxy["server.port"] == "81");
  const AttributeReader connect(Build(MakeLinked(Role::kServer, "CONNECT", "far.example:443", 200)).attributes);
  CHECK_FALSE(connect.Has("url.path"));
  CHECK(connect["server.address"] == "far.example");
  CHECK(connect["server.port"] == "443");
  const AttributeReader old(Build(MakeLinked(Role::kClient, "GET", "/x", 200)).attributes);
  CHECK(old["url.full"] == "http://10.0.0.2/x");
  CHECK(old["server.address"] == "10.0.0.2");
  CHECK(old["server.port"] == "9080");
  const AttributeReader local(Build(MakeLinked(Role::kServer, "GET", "/x", 200)).attributes);
  CHECK(local["server.address"] == "10.0.0.1");
  CHECK(local["server.port"] == "8080");
  SpanStyle none;
  none.query_values = SpanStyle::QueryValues::kNone;
  const AttributeReader dropped(Build(MakeLinked(Role::kServer, "GET", "/x?a=1&token&b=2", 200), none).attributes);
  CHECK(dropped["url.query"] == "a=&b=");
}

TEST_CASE("span: addresses of every family", "[spans]") {
  LinkedExchange linked = MakeLinked(Role::kServer, "GET", "/", 200, {{"host", "[::1]:8080"}});
  ConnectionEnds& endpoint = linked.exchange->endpoint;
  endpoint.family = SPANTAP_FAMILY_INET6;
  memset(endpoint.peer_addr, 0, 16);
  endpoint.peer_addr[15] = 1;
  CHECK(AttributeReader(Build(linked).attributes)["network.peer.address"] == "::1");
  CHECK(AttributeReader(Build(linked).attributes)["server.address"] == "::1");
  endpoint.peer_addr[10] = endpoint.peer_addr[11] = 0xff;
  endpoint.peer_addr[12] = 192;
  CHECK(AttributeReader(Build(linked).attributes)["network.peer.address"] == "192.0.0.1");
  endpoint.family = SPANTAP_FAMILY_UNIX;
  CHECK_FALSE(AttributeReader(Build(linked).attributes).Has("network.peer.address"));
  CHECK(AttributeReader(Build(linked).attributes)["network.transport"] == "unix");
  endpoint.family = 0;
  CHECK_FALSE(AttributeReader(Build(linked).attributes).Has("client.address"));
}

TEST_CASE("span: the link says its rule, and adoption leaves a trail", "[spans]") {
  LinkedExchange linked = MakeLinked(Role::kServer, "GET", "/", 200);
  linked.rule = LinkRule::kProxy;
  linked.confidence = 0.99;
  linked.parent_span_id.bytes[0] = 9;
  linked.wire_trace_id.bytes[0] = 0xab;
  linked.wire_parent_id.bytes[0] = 0xcd;
  linked.flags = kFlagSampled;
  linked.parent_is_remote = true;
  const Span span = Build(linked);
  const AttributeReader got(span.attributes);
  CHECK(got["spantap.link.rule"] == "proxy");
  CHECK(got["spantap.link.confidence"] == "0.99");
  CHECK(got["spantap.wire.trace_id"] == "ab000000000000000000000000000000");
  REQUIRE(span.links.size() == 1);
  CHECK(span.links[0].trace_id == linked.wire_trace_id);
  CHECK(span.links[0].span_id == linked.wire_parent_id);
  CHECK(span.parent_span_id == linked.parent_span_id);
  CHECK(span.flags == kFlagSampled);
  CHECK(span.parent_is_remote);
}

TEST_CASE("span: a parent that is not sure enough is a link", "[spans]") {
  LinkedExchange linked = MakeLinked(Role::kClient, "GET", "/", 200);
  linked.candidate = LinkCandidate{{}, {}, LinkRule::kJoint, 0.75};
  linked.candidate->trace_id.bytes[0] = 0xab;
  linked.candidate->span_id.bytes[0] = 0xcd;
  const Span span = Build(linked);
  REQUIRE(span.links.size() == 1);
  CHECK(span.links[0].trace_id == linked.candidate->trace_id);
  CHECK(span.links[0].span_id == linked.candidate->span_id);
  CHECK(span.links[0].is_remote == false);
  const AttributeReader of_link(span.links[0].attributes);
  CHECK(of_link["spantap.link.rule"] == "joint");
  CHECK(of_link["spantap.link.confidence"] == "0.75");
  CHECK_FALSE(of_link.Has("spantap.link.min_confidence"));
  CHECK_FALSE(AttributeReader(span.attributes).Has("spantap.link.rule"));
  CHECK_FALSE(span.parent_span_id.valid());
  linked.candidate->confidence = {0.89, true};
  const Span bounded = Build(linked);
  REQUIRE(bounded.links.size() == 1);
  const AttributeReader of_bounded(bounded.links[0].attributes);
  CHECK(of_bounded["spantap.link.min_confidence"] == "0.89");
  CHECK_FALSE(of_bounded.Has("spantap.link.confidence"));
}

TEST_CASE("span: tracestate stays with the trace id it came with", "[spans]") {
  const HeaderList headers = {{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
                              {"tracestate", "vendor=1"}};
  LinkedExchange linked = MakeLinked(Role::kServer, "GET", "/", 200, headers);
  CHECK(Build(linked).trace_state.empty());
  linked.trace_id = ParseTraceParent(headers[0].second)->trace_id;
  CHECK(Build(linked).trace_state == "vendor=1");
}

TEST_CASE("span: what is not known is not said", "[spans]") {
  LinkedExchange linked = MakeLinked(Role::kServer, "POST", "/", 200);
  linked.exchange->request_body_bytes = 10;
  linked.exchange->had_gap = true;
  linked.exchange->request.truncated = true;
  const AttributeReader gap(Build(linked).attributes);
  CHECK_FALSE(gap.Has("http.request.body.size"));
  CHECK_FALSE(gap.Has("http.response.body.size"));
  CHECK(gap["spantap.gap"] == "true");
  CHECK(gap["spantap.head_truncated"] == "true");
  linked.exchange->had_gap = false;
  linked.exchange->body_end = BodyEnd::kGuessed;
  CHECK_FALSE(AttributeReader(Build(linked).attributes).Has("http.response.body.size"));
  linked.exchange->request_end_ns = 0;
  CHECK_FALSE(AttributeReader(Build(linked).attributes).Has("http.request.body.size"));
  linked.exchange->end_ns = 5;  // before the start
  const Span span = Build(linked);
  CHECK(span.end_unix_ns == span.start_unix_ns);
}

TEST_CASE("span: hostile bytes are repaired, not passed on", "[spans]") {
  const AttributeReader got(Build(MakeLinked(Role::kServer, "G\xff", "/\xc3(\x01?\xfe=\x80", 200,
                                             {{"host", "\xf0\x9f"}, {"user-agent", "\xed\xa0\x80"}}))
                                .attributes);
  CHECK(got["url.path"] == "/\xEF\xBF\xBD(\x01");
  CHECK(got["url.query"] == "\xEF\xBF\xBD=\xEF\xBF\xBD");
  for (const char* target : {"", "?", "http://", "http://@", "://", "//", "http://[", "[", "h:", "#"}) {
    CHECK(Build(MakeLinked(Role::kClient, "GET", target, 200, {{"host", target}, {"forwarded", target}})).name ==
          "GET");
    CHECK(Build(MakeLinked(Role::kServer, "CONNECT", target, 0, {{"x-forwarded-for", target}})).name == "CONNECT");
  }
}

TEST_CASE("span: cost", "[.bench]") {
  LinkedExchange linked = MakeLinked(Role::kServer, "GET", "/shop/cart/items?id=7&lang=en", 200,
                                     {{"Host", "shop.example:8443"},
                                      {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"},
                                      {"X-Request-Id", "6f1f3c1c-8a7a-4c1e-9a53-0d8d4c2f7d11"},
                                      {"Accept", "*/*"},
                                      {"Accept-Encoding", "gzip, deflate"},
                                      {"X-Forwarded-For", "203.0.113.9"},
                                      {"X-Forwarded-Proto", "https"},
                                      {"Cookie", "a=b; c=d"},
                                      {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}});
  linked.rule = LinkRule::kProxy;
  for (Role role : {Role::kServer, Role::kClient}) {
    linked.exchange->role = role;
    double best = 1e9;
    size_t bytes = 0;
    for (int round = 0; round < 7; ++round) {
      constexpr int kSpans = 200'000;
      const std::clock_t start = std::clock();  // of this process: the machine may be busy
      for (int i = 0; i < kSpans; ++i) bytes += Build(linked).attributes.bytes().size();
      best = std::min(best, static_cast<double>(std::clock() - start) * 1e9 / CLOCKS_PER_SEC / kSpans);
    }
    std::cout << (role == Role::kServer ? "server" : "client") << " span: " << best << " ns, best of 7\n";
    CHECK(bytes > 0);
  }
}

}  // namespace
}  // namespace spantap
