// SPDX-License-Identifier: Apache-2.0
//
// What a span looks like in the ring: every field of both ways in, limits, cuts, what is discarded and counted.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "ring_agent.h"

namespace spantap {
namespace {

struct Attached {
  Attached() : agent(place.socket()), host(place.socket()) { REQUIRE(host.Attach(&agent)); }
  TakenSpan One() {
    auto spans = agent.Take();
    REQUIRE(spans.size() == 1);
    return spans[0];
  }
  TakenSpan Submit(const spantap_span& span) {
    REQUIRE(spantap_submit(host.producer, &span) == SPANTAP_OK);
    return One();
  }
  Place place;
  RingAgent agent;
  Host host;
};

spantap_attr Named(spantap_str name, spantap_str value) {
  return {SPANTAP_KEY_NAMED, SPANTAP_STRING, 0, name, {value}};
}

spantap_attr Int(spantap_key key, int64_t value) {
  spantap_attr attr = {key, SPANTAP_INT, 0, {nullptr, 0}, {{nullptr, 0}}};
  attr.value.i = value;
  return attr;
}

const spantap_conn kConn = {4, 8080, 51000, 0, {10, 0, 0, 1, 99}, {10, 0, 0, 2, 99}};

void CheckConn(const spantap_span_record& fixed) {
  CHECK(fixed.conn_family == 4);
  CHECK(fixed.conn_local_port == 8080);
  CHECK(fixed.conn_peer_port == 51000);
  CHECK(memcmp(fixed.conn_local_address, "\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\0", 16) == 0);
  CHECK(memcmp(fixed.conn_peer_address, "\x0a\0\0\2\0\0\0\0\0\0\0\0\0\0\0", 16) == 0);
}

void CheckValues(const std::vector<TakenAttr>& attrs) {
  REQUIRE(attrs.size() == 4);
  CHECK(attrs[0].key == SPANTAP_KEY_URL_PATH);
  CHECK(attrs[0].text == "/a");
  CHECK(attrs[1].number == -5);
  CHECK(attrs[1].type == SPANTAP_INT);
  CHECK(attrs[2].name == "ratio");
  CHECK(attrs[2].real == 0.25);
  CHECK(attrs[3].number == 1);
  CHECK(attrs[3].type == SPANTAP_BOOL);
}

std::vector<spantap_attr> FourValues() {
  std::vector<spantap_attr> attrs(4);
  attrs[0] = {SPANTAP_KEY_URL_PATH, SPANTAP_STRING, 0, {nullptr, 0}, {{"/a", 2}}};
  attrs[1] = Int(SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, -5);
  attrs[2] = {SPANTAP_KEY_NAMED, SPANTAP_DOUBLE, 0, {"ratio", 5}, {{nullptr, 0}}};
  attrs[2].value.d = 0.25;
  attrs[3] = {SPANTAP_KEY_NAMED, SPANTAP_BOOL, 0, {"hit", 3}, {{nullptr, 0}}};
  attrs[3].value.b = 7;  // any truth is 1
  return attrs;
}

spantap_link Link(const std::vector<spantap_attr>& attrs) {
  spantap_link link = {};
  memset(link.context.trace_id, 1, 16);
  memset(link.context.span_id, 2, 8);
  link.context.flags = 3;
  link.trace_state = {"k=v", 3};
  link.attrs = attrs.data();
  link.attr_count = static_cast<uint32_t>(attrs.size());
  return link;
}

TEST_CASE("record: every field of a submitted span arrives", "[handoff]") {
  Attached attached;
  const auto attrs = FourValues();
  const spantap_event events[] = {{11, {"first", 5}, attrs.data(), 4, 0}, {12, {"second", 6}, nullptr, 0, 0}};
  const spantap_link link = Link(attrs);
  spantap_span span = MakeSpan(7);
  span.status = SPANTAP_STATUS_ERROR;
  memset(span.parent_span_id, 9, 8);
  span.trace_state = {"a=1,b=2", 7};
  span.status_message = {"refused", 7};
  span.attrs = attrs.data();
  span.attr_count = 4;
  span.events = events;
  span.event_count = 2;
  span.links = &link;
  span.link_count = 1;
  span.parent_is_remote = 5;
  span.conn = &kConn;
  const TakenSpan taken = attached.Submit(span);
  CHECK(memcmp(taken.fixed.trace_id, span.context.trace_id, 16) == 0);
  CHECK(NumberOf(taken.fixed) == 7);
  CHECK(memcmp(taken.fixed.parent_span_id, span.parent_span_id, 8) == 0);
  CHECK(taken.fixed.start_unix_ns == span.start_unix_ns);
  CHECK(taken.fixed.end_unix_ns == span.end_unix_ns);
  CHECK(taken.fixed.kind == SPANTAP_SERVER);
  CHECK(taken.fixed.status == SPANTAP_STATUS_ERROR);
  CHECK(taken.fixed.flags == SPANTAP_SAMPLED);
  CHECK(taken.fixed.parent_is_remote == 1);
  CHECK(taken.name == "GET /");
  CHECK(taken.trace_state == "a=1,b=2");
  CHECK(taken.status_message == "refused");
  CheckConn(taken.fixed);
  CheckValues(taken.attrs);
  REQUIRE(taken.events.size() == 2);
  CHECK(taken.events[0].time == 11);
  CHECK(taken.events[0].text == "first");
  CheckValues(taken.events[0].attrs);
  CHECK(taken.events[1].text == "second");
  REQUIRE(taken.links.size() == 1);
  CHECK(taken.links[0].trace_id == std::string(16, 1));
  CHECK(taken.links[0].span_id == std::string(8, 2));
  CHECK(taken.links[0].flags == 3);
  CHECK(taken.links[0].text == "k=v");
  CheckValues(taken.links[0].attrs);
}

TEST_CASE("record: every field of a live span arrives, events and links in their order", "[handoff]") {
  Attached attached;
  alignas(8) unsigned char memory[2048];
  const auto attrs = FourValues();
  const uint8_t parent[8] = {9, 9, 9, 9, 9, 9, 9, 9};
  const spantap_span model = MakeSpan(7);
  spantap_live* live = nullptr;
  REQUIRE(spantap_begin(attached.host.producer, memory, sizeof(memory), &model.context, parent, SPANTAP_SERVER,
                        {"x", 1}, model.start_unix_ns, &live) == SPANTAP_OK);
  const spantap_event first = {11, {"first", 5}, attrs.data(), 4, 0}, second = {12, {"second", 6}, nullptr, 0, 0};
  const spantap_link link = Link(attrs);
  CHECK(spantap_set_string(live, SPANTAP_KEY_URL_PATH, {nullptr, 0}, {"/a", 2}) == SPANTAP_OK);
  CHECK(spantap_add_event(live, &first) == SPANTAP_OK);
  CHECK(spantap_set_int(live, SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, {nullptr, 0}, -5) == SPANTAP_OK);
  CHECK(spantap_set_name(live, {"a longer name than before", 25}) == SPANTAP_OK);
  CHECK(spantap_set_name(live, {"GET /", 5}) == SPANTAP_OK);
  CHECK(spantap_add_link(live, &link) == SPANTAP_OK);
  CHECK(spantap_set_double(live, SPANTAP_KEY_NAMED, {"ratio", 5}, 0.25) == SPANTAP_OK);
  CHECK(spantap_add_event(live, &second) == SPANTAP_OK);
  CHECK(spantap_set_bool(live, SPANTAP_KEY_NAMED, {"hit", 3}, 7) == SPANTAP_OK);
  CHECK(spantap_set_status(live, SPANTAP_STATUS_ERROR, {"refused", 7}) == SPANTAP_OK);
  CHECK(spantap_set_trace_state(live, {"a=1,b=2", 7}) == SPANTAP_OK);
  CHECK(spantap_set_conn(live, &kConn) == SPANTAP_OK);
  CHECK(spantap_end(live, model.end_unix_ns) == SPANTAP_OK);
  CHECK(spantap_end(live, model.end_unix_ns) == SPANTAP_ENDED);
  const TakenSpan taken = attached.One();
  CHECK(NumberOf(taken.fixed) == 7);
  CHECK(std::string(reinterpret_cast<const char*>(taken.fixed.parent_span_id), 8) == std::string(8, 9));
  CHECK(taken.fixed.end_unix_ns == model.end_unix_ns);
  CHECK(taken.fixed.parent_is_remote == 1);
  CHECK(taken.name == "GET /");
  CHECK(taken.trace_state == "a=1,b=2");
  CHECK(taken.status_message == "refused");
  CheckConn(taken.fixed);
  CheckValues(taken.attrs);
  REQUIRE(taken.events.size() == 2);
  CHECK(taken.events[0].text == "first");
  CheckValues(taken.events[0].attrs);
  CHECK(taken.events[1].text == "second");
  REQUIRE(taken.links.size() == 1);
  CheckValues(taken.links[0].attrs);
}

TEST_CASE("record: long values are cut between characters, long names and too many of anything are counted",
          "[handoff]") {
  Attached attached;
  std::string euros;
  for (int i = 0; i < 2000; ++i) euros += "\xe2\x82\xac";
  const std::string name(256, 'n'), states = std::string(3000, 'a') + "=1," + std::string(3000, 'b') + "=2";
  std::vector<spantap_attr> attrs(300, Int(SPANTAP_KEY_URL_PATH, 1));
  attrs[0] = Named({"long", 4}, Str(euros));
  attrs[1] = Named(Str(name), {"v", 1});
  attrs[2] = Named({"", 0}, {"v", 1});
  attrs[3].type = 9;
  attrs[4] = {SPANTAP_KEY_URL_PATH, SPANTAP_STRING, 0, {nullptr, 0}, {{nullptr, 5}}};
  attrs[5] = {999, SPANTAP_STRING, 0, {nullptr, 0}, {{"newer key", 9}}};
  const std::vector<spantap_event> events(200, {1, {"e", 1}, nullptr, 0, 0});
  spantap_link no_ids = {};
  spantap_span span = MakeSpan(1);
  span.name = Str(euros);
  span.trace_state = Str(states);
  span.status_message = {"no error, no message", 20};
  span.attrs = attrs.data();
  span.attr_count = 300;
  span.events = events.data();
  span.event_count = 200;
  span.links = &no_ids;
  span.link_count = 1;
  const TakenSpan taken = attached.Submit(span);
  CHECK(taken.name == euros.substr(0, 4095));
  CHECK(taken.trace_state == std::string(3000, 'a') + "=1");
  CHECK(taken.status_message.empty());
  REQUIRE(taken.attrs.size() == 124);
  CHECK(taken.attrs[0].text == euros.substr(0, 4095));
  CHECK(taken.attrs[1].key == 999);
  CHECK(taken.fixed.dropped_attrs == 300 - 124);
  CHECK(taken.events.size() == 128);
  CHECK(taken.fixed.dropped_events == 72);
  CHECK(taken.fixed.dropped_links == 1);
}

TEST_CASE("record: up to 64 KiB is taken, more is too large, at every place of the ring", "[handoff]") {
  Attached attached;
  const std::string value(4096, 'v');
  std::vector<spantap_attr> attrs(15, Named({"n", 1}, Str(value)));
  spantap_span span = MakeSpan(1);
  const size_t rest = SPANTAP_MAX_RECORD - 120 - 5 - 15 * (8 + 1 + 4096) - 9;
  REQUIRE(rest <= 4096);
  const std::string last(rest, 'l');
  for (int round = 0; round < 50; ++round) {
    attrs.resize(15);
    attrs.push_back(Named({"n", 1}, Str(last)));
    span.attrs = attrs.data();
    span.attr_count = 16;
    REQUIRE(attached.Submit(span).attrs.size() == 16);
    attrs.push_back(Int(SPANTAP_KEY_URL_PATH, 1));
    span.attrs = attrs.data();
    span.attr_count = 17;
    REQUIRE(spantap_submit(attached.host.producer, &span) == SPANTAP_TOO_LARGE);
    const spantap_span small = MakeSpan(round);
    REQUIRE(attached.Submit(small).name == "GET /");
  }
  CHECK(attached.host.Stats().dropped_too_large == 50);
  CHECK(attached.agent.ring(0)->dropped_too_large == 50);
}

TEST_CASE("record: a live span's memory is the limit, what does not fit is counted", "[handoff]") {
  Attached attached;
  alignas(8) unsigned char memory[SPANTAP_LIVE_MIN + 8];
  memset(memory, 0x5a, sizeof(memory));
  const spantap_span model = MakeSpan(7);
  spantap_live* live = nullptr;
  REQUIRE(spantap_begin(attached.host.producer, memory, SPANTAP_LIVE_MIN, &model.context, nullptr, SPANTAP_CLIENT,
                        {"name", 4}, 1, &live) == SPANTAP_OK);
  int fitted = 0, refused = 0;
  for (int i = 0; i < 40; ++i) {
    const auto status = spantap_set_int(live, SPANTAP_KEY_SERVER_PORT, {nullptr, 0}, i);
    REQUIRE((status == SPANTAP_OK || status == SPANTAP_NO_SPACE));
    ++(status == SPANTAP_OK ? fitted : refused);
  }
  CHECK(fitted >= 10);
  CHECK(refused > 0);
  const spantap_event event = {1, {"e", 1}, nullptr, 0, 0};
  CHECK(spantap_add_event(live, &event) == SPANTAP_NO_SPACE);
  CHECK(spantap_set_name(live, {"a name that finds no room any more", 34}) == SPANTAP_NO_SPACE);
  CHECK(spantap_end(live, 2) == SPANTAP_OK);
  const TakenSpan taken = attached.One();
  CHECK(taken.name == "name");
  CHECK(taken.attrs.size() == static_cast<size_t>(fitted));
  CHECK(taken.fixed.dropped_attrs == refused);
  CHECK(taken.fixed.dropped_events == 1);
  CHECK(taken.fixed.parent_is_remote == 0);
  CHECK(memory[SPANTAP_LIVE_MIN] == 0x5a);
  CHECK(memory[SPANTAP_LIVE_MIN + 7] == 0x5a);
}

TEST_CASE("record: a ten-attribute span lives in SPANTAP_LIVE_SIZE bytes", "[handoff]") {
  Attached attached;
  alignas(8) unsigned char memory[SPANTAP_LIVE_SIZE];
  const spantap_span model = MakeSpan(7);
  spantap_live* live = nullptr;
  REQUIRE(spantap_begin(attached.host.producer, memory, sizeof(memory), &model.context, nullptr, SPANTAP_SERVER,
                        {"GET /items/{id}", 15}, 1, &live) == SPANTAP_OK);
  for (spantap_key key = 1; key <= 10; ++key) {
    CHECK(spantap_set_string(live, key, {nullptr, 0}, {"some twenty-odd characters", 26}) == SPANTAP_OK);
  }
  CHECK(spantap_end(live, 2) == SPANTAP_OK);
  CHECK(attached.One().attrs.size() == 10);
}

}  // namespace
}  // namespace spantap
