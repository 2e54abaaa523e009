// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "agent/spans/handed.h"
#include "tests/agent/spans/exchange_maker.h"

namespace spantap {
namespace {

TraceId Trace(uint8_t byte) {
  TraceId id;
  id.bytes.fill(byte);
  return id;
}
SpanId Id(uint8_t byte) {
  SpanId id;
  id.bytes.fill(byte);
  return id;
}

// A handed-off span on an exchange; its own trace is 1.
LinkedExchange Joined(uint8_t trace) {
  LinkedExchange linked = MakeLinked(Role::kServer, "GET", "/a?b=1", 200, {{"host", "h"}});
  linked.trace_id = Trace(trace);
  linked.span_id = Id(2);
  linked.parent_span_id = Id(3);
  linked.rule = LinkRule::kConnection;
  linked.flags = kFlagSampled;
  linked.handed = std::make_unique<HandedSpan>();
  Span& span = linked.handed->span;
  span.trace_id = Trace(1);
  span.span_id = Id(2);
  span.name = "GET /route";
  span.kind = SpanKind::kServer;
  span.start_unix_ns = 5;
  span.end_unix_ns = 9;
  span.trace_state = "k=v";
  span.attributes.AddString("http.route", "/route");
  span.attributes.AddInt("http.response.body.size", 77);
  return linked;
}

TEST_CASE("handed span: its own words, what the exchange adds, the linker's place", "[spans]") {
  LinkedExchange linked = Joined(1);
  const Span span = JoinSpan(linked);
  CHECK(span.name == "GET /route");
  CHECK((span.start_unix_ns == 5 && span.end_unix_ns == 9));
  CHECK(span.trace_state == "k=v");
  CHECK(span.parent_span_id == Id(3));
  CHECK(span.links.empty());
  const AttributeReader got(span.attributes);
  CHECK(got.duplicates() == 0);
  CHECK(got["http.route"] == "/route");
  CHECK(got["http.response.body.size"] == "77");  // its own
  CHECK(got["network.peer.address"] == "10.0.0.2");
  CHECK(got["network.peer.port"] == "41000");
  CHECK(got["network.protocol.version"] == "1.1");
  CHECK(got["spantap.link.rule"] == "connection");
  CHECK_FALSE(got.Has("url.path"));  // the proxy's to say
  CHECK_FALSE(got.Has("spantap.wire.trace_id"));
}

TEST_CASE("handed span: moved to another trace it says from which", "[spans]") {
  LinkedExchange linked = Joined(9);
  linked.wire_trace_id = Trace(1);
  linked.wire_parent_id = Id(4);
  const Span span = JoinSpan(linked);
  CHECK(span.trace_id == Trace(9));
  CHECK(span.trace_state.empty());
  REQUIRE(span.links.size() == 1);
  CHECK(span.links[0].trace_id == Trace(1));
  CHECK(span.links[0].span_id == Id(4));
  CHECK(AttributeReader(span.attributes)["spantap.wire.trace_id"] == FormatHex(Trace(1)));
}

TEST_CASE("handed span: without an exchange it is as it was, or follows its parent's trace", "[spans]") {
  for (const bool moved : {false, true}) {
    LinkedExchange linked = Joined(1);
    const Span span = LoneSpan(*linked.handed, Trace(moved ? 9 : 1));
    const AttributeReader got(span.attributes);
    CHECK(span.trace_id == Trace(moved ? 9 : 1));
    CHECK(span.trace_state == (moved ? "" : "k=v"));
    CHECK(got.Has("spantap.wire.trace_id") == moved);
    CHECK(span.links.size() == (moved ? 1 : 0));
    CHECK_FALSE(got.Has("network.peer.address"));
  }
}

}  // namespace
}  // namespace spantap
