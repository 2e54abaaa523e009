// SPDX-License-Identifier: Apache-2.0
//
// Attributes prepared once, and the question whether a span is wanted.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "ring_agent.h"

namespace spantap {
namespace {

spantap_attr Text(spantap_key key, const char* text) {
  return {key, SPANTAP_STRING, 0, {nullptr, 0}, {{text, strlen(text)}}};
}

spantap_attr Number(const char* name, int64_t value) {
  spantap_attr attr = {SPANTAP_KEY_NAMED, SPANTAP_INT, 0, {name, strlen(name)}, {{nullptr, 0}}};
  attr.value.i = value;
  return attr;
}

// A group in memory of its own, whose size is exactly what spantap.h says.
struct Group {
  explicit Group(const std::vector<spantap_attr>& attrs) {
    size_t text = 0;
    for (const spantap_attr& a : attrs) text += a.name.size + (a.type == SPANTAP_STRING ? a.value.s.size : 0);
    memory.resize((SPANTAP_PREPARED_SIZE(attrs.size(), text) + 7) / 8);
    const size_t size = SPANTAP_PREPARED_SIZE(attrs.size(), text);
    REQUIRE(spantap_prepare(attrs.data(), static_cast<uint32_t>(attrs.size()), memory.data(), size, &group) ==
            SPANTAP_OK);
  }
  std::vector<uint64_t> memory;
  const spantap_prepared* group = nullptr;
};

TEST_CASE("prepared: groups come before the span's own attributes, at every place of the ring", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  const Group route({Text(SPANTAP_KEY_HTTP_ROUTE, "/a"), Number("shard", 7)});
  const Group none(std::vector<spantap_attr>{});
  const Group connection({Text(SPANTAP_KEY_URL_SCHEME, "https")});
  const spantap_prepared* const groups[] = {route.group, nullptr, none.group, connection.group};
  const spantap_attr own = Text(SPANTAP_KEY_URL_PATH, "/a/b");
  for (int i = 0; i < 3000; ++i) {  // several times around
    spantap_span span = MakeSpan(i);
    span.prepared = groups;
    span.prepared_count = 4;
    span.attrs = &own;
    span.attr_count = 1;
    REQUIRE(spantap_submit(host.producer, &span) == SPANTAP_OK);
    const auto spans = agent.Take();
    REQUIRE(spans.size() == 1);
    const auto& attrs = spans[0].attrs;
    REQUIRE(attrs.size() == 4);
    CHECK((attrs[0].key == SPANTAP_KEY_HTTP_ROUTE && attrs[0].text == "/a"));
    CHECK((attrs[1].name == "shard" && attrs[1].number == 7));
    CHECK((attrs[2].key == SPANTAP_KEY_URL_SCHEME && attrs[2].text == "https"));
    CHECK((attrs[3].key == SPANTAP_KEY_URL_PATH && attrs[3].text == "/a/b"));
    CHECK(spans[0].fixed.dropped_attrs == 0);
  }
}

TEST_CASE("prepared: wrong use has a status, and nothing was done", "[handoff]") {
  alignas(8) char memory[256];
  const spantap_prepared* group = nullptr;
  const spantap_attr good = Text(SPANTAP_KEY_URL_PATH, "/");
  spantap_attr bad = good;
  bad.type = 77;
  const std::vector<spantap_attr> many(SPANTAP_MAX_ATTRS + 1, good);
  const std::string large(4096, 'x');
  const std::vector<spantap_attr> heavy(20, Text(SPANTAP_KEY_URL_PATH, large.c_str()));
  CHECK(spantap_prepare(nullptr, 1, memory, sizeof(memory), &group) == SPANTAP_INVALID);
  CHECK(spantap_prepare(&good, 1, nullptr, sizeof(memory), &group) == SPANTAP_INVALID);
  CHECK(spantap_prepare(&good, 1, memory + 1, sizeof(memory) - 1, &group) == SPANTAP_INVALID);
  CHECK(spantap_prepare(&good, 1, memory, sizeof(memory), nullptr) == SPANTAP_INVALID);
  CHECK(spantap_prepare(&bad, 1, memory, sizeof(memory), &group) == SPANTAP_INVALID);
  CHECK(spantap_prepare(&good, 1, memory, 24, &group) == SPANTAP_NO_SPACE);
  CHECK(spantap_prepare(&good, 1, memory, 0, &group) == SPANTAP_NO_SPACE);
  CHECK(spantap_prepare(many.data(), SPANTAP_MAX_ATTRS + 1, memory, sizeof(memory), &group) == SPANTAP_TOO_LARGE);
  CHECK(spantap_prepare(heavy.data(), 20, memory, sizeof(memory), &group) == SPANTAP_TOO_LARGE);
  CHECK(group == nullptr);
  CHECK(spantap_prepare(nullptr, 0, memory, sizeof(memory), &group) == SPANTAP_OK);
  CHECK(group != nullptr);
}

TEST_CASE("prepared: what was not prepared, and what is too much, is discarded and counted", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  uint64_t zeros[8] = {};
  const Group most(std::vector<spantap_attr>(SPANTAP_MAX_ATTRS - 1, Number("n", 1)));
  const Group two({Text(SPANTAP_KEY_HTTP_ROUTE, "/a"), Number("shard", 7)});
  const spantap_prepared* const groups[] = {reinterpret_cast<const spantap_prepared*>(zeros), most.group, two.group};
  const std::vector<spantap_attr> own(3, Text(SPANTAP_KEY_URL_PATH, "/"));
  spantap_span span = MakeSpan(1);
  span.prepared = groups;
  span.prepared_count = 3;
  span.attrs = own.data();
  span.attr_count = 3;
  REQUIRE(spantap_submit(host.producer, &span) == SPANTAP_OK);
  const auto spans = agent.Take();
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].attrs.size() == SPANTAP_MAX_ATTRS);
  CHECK(spans[0].fixed.dropped_attrs == 1 + 2 + 2);
  span.prepared = nullptr;
  CHECK(spantap_submit(host.producer, &span) == SPANTAP_INVALID);
}

TEST_CASE("prepared: spans over 64 KiB are too large", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  const std::string value(4096, 'v');
  const Group large(std::vector<spantap_attr>(15, Text(SPANTAP_KEY_URL_PATH, value.c_str())));
  const std::vector<const spantap_prepared*> groups(100, large.group);
  spantap_span span = MakeSpan(1);
  span.prepared = groups.data();
  span.prepared_count = 1;
  CHECK(spantap_submit(host.producer, &span) == SPANTAP_OK);
  for (uint32_t count : {2u, 100u}) {
    span.prepared_count = count;
    CHECK(spantap_submit(host.producer, &span) == SPANTAP_TOO_LARGE);
  }
  CHECK(agent.Take().size() == 1);
}

TEST_CASE("wants: says what submit would, and counts it", "[handoff]") {
  Place place;
  Host host(place.socket());
  CHECK(spantap_wants(nullptr, 1) == SPANTAP_INVALID);
  CHECK(spantap_wants(host.producer, 1) == SPANTAP_NO_AGENT);
  CHECK(spantap_wants(host.producer, 2) == SPANTAP_NO_AGENT);
  CHECK(host.Stats().dropped_no_agent == 2);
  RingAgent agent(place.socket());
  REQUIRE(host.Attach(&agent));
  const spantap_span span = MakeSpan(1);
  CHECK(spantap_wants(host.producer, span.end_unix_ns) == SPANTAP_OK);
  CHECK(spantap_submit(host.producer, &span) == SPANTAP_OK);
  agent.SetState(SPANTAP_RING_PAUSED);
  CHECK(spantap_wants(host.producer, span.end_unix_ns) == SPANTAP_NO_AGENT);
  CHECK(host.Stats().dropped_no_agent == 3);
  CHECK(host.Stats().handed_off == 1);
  CHECK(agent.ring(0)->dropped_no_agent == 3);
}

}  // namespace
}  // namespace spantap
