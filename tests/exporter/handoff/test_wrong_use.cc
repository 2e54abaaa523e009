// SPDX-License-Identifier: Apache-2.0
//
// The matrix of wrong use: each gives the status that spantap.h documents, is counted, and breaks nothing.
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>

#include "ring_agent.h"

namespace spantap {
namespace {

TEST_CASE("wrong use: spans that make no sense are invalid, and counted", "[handoff]") {
  struct Row {
    const char* what;
    std::function<void(spantap_span*)> spoil;
  };
  const Row rows[] = {
      {"no name",
       [](spantap_span* s) {
         s->name = {nullptr, 0};
       }},
      {"empty name",
       [](spantap_span* s) {
         s->name = {"", 0};
       }},
      {"name NULL with a length",
       [](spantap_span* s) {
         s->name = {nullptr, 4};
       }},
      {"no trace id", [](spantap_span* s) { memset(s->context.trace_id, 0, 16); }},
      {"no span id", [](spantap_span* s) { memset(s->context.span_id, 0, 8); }},
      {"end before start", [](spantap_span* s) { s->end_unix_ns = s->start_unix_ns - 1; }},
      {"kind 0", [](spantap_span* s) { s->kind = 0; }},
      {"kind 6", [](spantap_span* s) { s->kind = 6; }},
      {"status 3", [](spantap_span* s) { s->status = 3; }},
      {"attributes NULL", [](spantap_span* s) { s->attr_count = 1; }},
      {"events NULL", [](spantap_span* s) { s->event_count = 1; }},
      {"links NULL", [](spantap_span* s) { s->link_count = 1; }},
      {"trace state NULL",
       [](spantap_span* s) {
         s->trace_state = {nullptr, 1};
       }},
      {"message NULL",
       [](spantap_span* s) {
         s->status_message = {nullptr, 1};
       }},
      {"struct_size 0", [](spantap_span* s) { s->struct_size = 0; }},
      {"struct_size before the name", [](spantap_span* s) { s->struct_size = offsetof(spantap_span, name); }},
  };
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  uint64_t counted = 0;
  for (const Row& row : rows) {
    INFO(row.what);
    spantap_span span = MakeSpan(1);
    row.spoil(&span);
    CHECK(spantap_submit(host.producer, &span) == SPANTAP_INVALID);
    CHECK(host.Stats().dropped_invalid == ++counted);
  }
  CHECK(spantap_submit(host.producer, nullptr) == SPANTAP_INVALID);
  const spantap_conn strange = {5, 0, 0, 0, {}, {}};
  spantap_span span = MakeSpan(1);
  span.conn = &strange;
  CHECK(spantap_submit(host.producer, &span) == SPANTAP_INVALID);
  CHECK(agent.ring(0)->dropped_invalid == counted + 2);
  CHECK(agent.Take().empty());
}

TEST_CASE("wrong use: structures of an older and of a newer caller are read as far as they are known", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  const spantap_conn conn = {4, 1, 2, 0, {}, {}};
  struct {
    spantap_span span;
    char future[64];
  } newer = {MakeSpan(1), {1, 2, 3}};
  newer.span.struct_size = sizeof(newer);
  newer.span.conn = &conn;
  CHECK(spantap_submit(host.producer, &newer.span) == SPANTAP_OK);
  newer.span.struct_size = UINT32_MAX;
  CHECK(spantap_submit(host.producer, &newer.span) == SPANTAP_OK);
  spantap_span older = newer.span;
  older.struct_size = offsetof(spantap_span, conn);
  CHECK(spantap_submit(host.producer, &older) == SPANTAP_OK);
  const auto spans = agent.Take();
  REQUIRE(spans.size() == 3);
  CHECK(spans[0].fixed.conn_family == 4);
  CHECK(spans[1].fixed.conn_family == 4);
  CHECK(spans[2].fixed.conn_family == 0);

  spantap_stats stats;
  memset(&stats, 0x77, sizeof(stats));
  stats.struct_size = offsetof(spantap_stats, dropped_no_agent);
  CHECK(spantap_stats_get(host.producer, &stats) == SPANTAP_OK);
  CHECK(stats.handed_off == 3);
  CHECK(stats.dropped_no_agent == 0x7777777777777777u);
  stats.struct_size = 0;
  CHECK(spantap_stats_get(host.producer, &stats) == SPANTAP_INVALID);
}

TEST_CASE("wrong use: a string of 1 GiB is cut, one that is not UTF-8 passes", "[handoff]") {
  constexpr size_t kBytes = 1u << 30;
  void* memory = mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  const spantap_str huge = {static_cast<const char*>(memory), kBytes};
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  const spantap_attr attrs[] = {{SPANTAP_KEY_URL_PATH, SPANTAP_STRING, 0, {nullptr, 0}, {huge}},
                                {SPANTAP_KEY_NAMED, SPANTAP_STRING, 0, huge, {huge}},
                                {SPANTAP_KEY_URL_QUERY, SPANTAP_STRING, 0, {nullptr, 0}, {{"\xff\xfe\xc3", 3}}}};
  spantap_span span = MakeSpan(1);
  span.name = huge;
  span.attrs = attrs;
  span.attr_count = 3;
  CHECK(spantap_submit(host.producer, &span) == SPANTAP_OK);
  span.trace_state = huge;  // not one whole entry in it
  CHECK(spantap_submit(host.producer, &span) == SPANTAP_OK);
  const auto spans = agent.Take();
  REQUIRE(spans.size() == 2);
  CHECK(spans[0].name.size() == SPANTAP_MAX_VALUE);
  REQUIRE(spans[0].attrs.size() == 2);
  CHECK(spans[0].attrs[0].text.size() == SPANTAP_MAX_VALUE);
  CHECK(spans[0].attrs[1].text == "\xff\xfe\xc3");
  CHECK(spans[0].fixed.dropped_attrs == 1);
  CHECK(spans[1].trace_state.empty());
  spantap_context context;
  CHECK(spantap_extract(huge, &context) == SPANTAP_MALFORMED);
  CHECK(spantap_check_tracestate(huge) == SPANTAP_MALFORMED);
  spantap_options options = SPANTAP_OPTIONS_INIT;
  options.socket = huge;
  spantap_client* client = nullptr;
  CHECK(spantap_open(&options, &client) == SPANTAP_INVALID);
  munmap(memory, kBytes);
}

TEST_CASE("wrong use: NULL everywhere", "[handoff]") {
  Place place;
  Host host(place.socket());
  const spantap_span span = MakeSpan(1);
  spantap_context context = span.context;
  alignas(8) char memory[SPANTAP_LIVE_SIZE];
  char header[SPANTAP_TRACEPARENT_SIZE];
  spantap_live* live = nullptr;
  spantap_producer* producer = nullptr;
  spantap_stats stats = SPANTAP_STATS_INIT;
  CHECK(spantap_open(nullptr, nullptr) == SPANTAP_INVALID);
  CHECK(spantap_producer_open(nullptr, &producer) == SPANTAP_INVALID);
  CHECK(spantap_producer_open(host.client, nullptr) == SPANTAP_INVALID);
  spantap_close(nullptr);
  spantap_producer_close(nullptr);
  CHECK(spantap_attach(nullptr) == SPANTAP_INVALID);
  CHECK(spantap_enabled(nullptr) == 0);
  CHECK(spantap_submit(nullptr, &span) == SPANTAP_INVALID);
  CHECK(spantap_sample(nullptr, nullptr, &context) == SPANTAP_INVALID);
  CHECK(spantap_sample(host.producer, nullptr, nullptr) == SPANTAP_INVALID);
  CHECK(spantap_extract({"x", 1}, nullptr) == SPANTAP_INVALID);
  CHECK(spantap_extract({nullptr, 9}, &context) == SPANTAP_INVALID);
  CHECK(spantap_check_tracestate({nullptr, 9}) == SPANTAP_INVALID);
  CHECK(spantap_inject(nullptr, header, sizeof(header)) == SPANTAP_INVALID);
  CHECK(spantap_inject(&span.context, nullptr, 99) == SPANTAP_INVALID);
  CHECK(spantap_stats_get(nullptr, &stats) == SPANTAP_INVALID);
  CHECK(spantap_stats_get(host.producer, nullptr) == SPANTAP_INVALID);
  CHECK(spantap_flush(nullptr, 0) == SPANTAP_INVALID);
  const auto begin = [&](void* m, size_t size, const spantap_context* c, spantap_kind kind, spantap_live** out) {
    return spantap_begin(host.producer, m, size, c, nullptr, kind, {"n", 1}, 1, out);
  };
  context = span.context;
  CHECK(spantap_begin(nullptr, memory, 1024, &context, nullptr, 2, {"n", 1}, 1, &live) == SPANTAP_INVALID);
  CHECK(begin(nullptr, 1024, &context, 2, &live) == SPANTAP_INVALID);
  CHECK(begin(memory + 1, 1000, &context, 2, &live) == SPANTAP_INVALID);
  CHECK(begin(memory, 1024, nullptr, 2, &live) == SPANTAP_INVALID);
  CHECK(begin(memory, 1024, &context, 0, &live) == SPANTAP_INVALID);
  CHECK(begin(memory, 1024, &context, 2, nullptr) == SPANTAP_INVALID);
  CHECK(begin(memory, SPANTAP_LIVE_MIN - 1, &context, 2, &live) == SPANTAP_NO_SPACE);
  CHECK(spantap_begin(host.producer, memory, 1024, &context, nullptr, 2, {nullptr, 3}, 1, &live) == SPANTAP_INVALID);
  CHECK(live == nullptr);
  CHECK(spantap_set_int(nullptr, 1, {nullptr, 0}, 1) == SPANTAP_INVALID);
  CHECK(spantap_end(nullptr, 1) == SPANTAP_INVALID);
  memset(memory, 0, sizeof(memory));
  CHECK(spantap_end(reinterpret_cast<spantap_live*>(memory), 1) == SPANTAP_INVALID);  // never begun
}

TEST_CASE("wrong use: of a live span", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  const spantap_context context = MakeSpan(1).context;
  alignas(8) char memory[SPANTAP_LIVE_SIZE];
  spantap_live* live = nullptr;
  const auto begin = [&](spantap_str name) {
    REQUIRE(spantap_begin(host.producer, memory, sizeof(memory), &context, nullptr, 2, name, 10, &live) == SPANTAP_OK);
  };
  begin({"", 0});
  CHECK(spantap_end(live, 11) == SPANTAP_INVALID);  // no name until the end
  begin({"n", 1});
  CHECK(spantap_end(live, 9) == SPANTAP_INVALID);  // before its start
  CHECK(host.Stats().dropped_invalid == 2);
  CHECK(spantap_end(live, 11) == SPANTAP_ENDED);
  CHECK(spantap_set_name(live, {"n", 1}) == SPANTAP_ENDED);
  CHECK(spantap_set_string(live, 1, {nullptr, 0}, {"v", 1}) == SPANTAP_ENDED);
  begin({"n", 1});
  const spantap_event unnamed = {1, {nullptr, 0}, nullptr, 0, 0};
  const spantap_link no_ids = {};
  const spantap_conn strange = {7, 0, 0, 0, {}, {}};
  CHECK(spantap_set_name(live, {"", 0}) == SPANTAP_INVALID);
  CHECK(spantap_set_string(live, SPANTAP_KEY_NAMED, {nullptr, 0}, {"v", 1}) == SPANTAP_INVALID);
  CHECK(spantap_set_string(live, 1, {nullptr, 0}, {nullptr, 1}) == SPANTAP_INVALID);
  CHECK(spantap_set_status(live, 3, {nullptr, 0}) == SPANTAP_INVALID);
  CHECK(spantap_set_conn(live, nullptr) == SPANTAP_INVALID);
  CHECK(spantap_set_conn(live, &strange) == SPANTAP_INVALID);
  CHECK(spantap_add_event(live, &unnamed) == SPANTAP_INVALID);
  CHECK(spantap_add_event(live, nullptr) == SPANTAP_INVALID);
  CHECK(spantap_add_link(live, &no_ids) == SPANTAP_INVALID);
  CHECK(spantap_end(live, 11) == SPANTAP_OK);
  const auto spans = agent.Take();
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].fixed.dropped_attrs == 2);
  CHECK(spans[0].fixed.dropped_events == 2);
  CHECK(spans[0].fixed.dropped_links == 1);
}

TEST_CASE("wrong use: another thread is turned away and counted", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  const spantap_span span = MakeSpan(1);
  alignas(8) char memory[SPANTAP_LIVE_SIZE];
  spantap_live* live = nullptr;
  REQUIRE(spantap_begin(host.producer, memory, sizeof(memory), &span.context, nullptr, 2, {"n", 1}, 1, &live) ==
          SPANTAP_OK);
  std::thread other([&] {
    spantap_context child;
    spantap_stats stats = SPANTAP_STATS_INIT;
    CHECK(spantap_submit(host.producer, &span) == SPANTAP_WRONG_THREAD);
    CHECK(spantap_attach(host.producer) == SPANTAP_WRONG_THREAD);
    CHECK(spantap_sample(host.producer, nullptr, &child) == SPANTAP_WRONG_THREAD);
    CHECK(spantap_stats_get(host.producer, &stats) == SPANTAP_WRONG_THREAD);
    CHECK(spantap_flush(host.producer, 1) == SPANTAP_WRONG_THREAD);
    CHECK(spantap_set_int(live, 1, {nullptr, 0}, 1) == SPANTAP_WRONG_THREAD);
    CHECK(spantap_end(live, 2) == SPANTAP_WRONG_THREAD);
    CHECK(spantap_enabled(host.producer) == 0);
  });
  other.join();
  CHECK(host.Stats().wrong_thread == 6);
  CHECK(spantap_end(live, 2) == SPANTAP_OK);
  CHECK(agent.Take().size() == 1);
}

TEST_CASE("wrong use: options", "[handoff]") {
  spantap_client* client = nullptr;
  const auto open = [&](const std::function<void(spantap_options*)>& spoil) {
    spantap_options options = SPANTAP_OPTIONS_INIT;
    spoil(&options);
    return spantap_open(&options, &client);
  };
  const spantap_attr unnamed = {SPANTAP_KEY_NAMED, SPANTAP_INT, 0, {nullptr, 0}, {{nullptr, 0}}};
  const std::string value(4096, 'v'), long_path(108, 'p');
  const std::vector<spantap_attr> large(5, {SPANTAP_KEY_NAMED, SPANTAP_STRING, 0, {"n", 1}, {Str(value)}});
  CHECK(open([](spantap_options* o) { o->struct_size = 0; }) == SPANTAP_INVALID);
  CHECK(open([](spantap_options* o) { o->sample_ratio = -0.1; }) == SPANTAP_INVALID);
  CHECK(open([](spantap_options* o) { o->sample_ratio = 1.1; }) == SPANTAP_INVALID);
  CHECK(open([](spantap_options* o) { o->sample_ratio = std::numeric_limits<double>::quiet_NaN(); }) ==
        SPANTAP_INVALID);
  CHECK(open([](spantap_options* o) { o->mode = 4; }) == SPANTAP_INVALID);
  CHECK(open([&](spantap_options* o) { o->socket = Str(long_path); }) == SPANTAP_INVALID);
  CHECK(open([](spantap_options* o) { o->socket = {"a\0b", 3}; }) == SPANTAP_INVALID);
  CHECK(open([](spantap_options* o) { o->socket = {nullptr, 3}; }) == SPANTAP_INVALID);
  CHECK(open([](spantap_options* o) { o->service_name = {nullptr, 3}; }) == SPANTAP_INVALID);
  CHECK(open([](spantap_options* o) { o->resource_count = 1; }) == SPANTAP_INVALID);
  CHECK(open([&](spantap_options* o) { o->resource = &unnamed, o->resource_count = 1; }) == SPANTAP_INVALID);
  CHECK(open([&](spantap_options* o) { o->resource = large.data(), o->resource_count = 5; }) == SPANTAP_TOO_LARGE);
  CHECK(client == nullptr);
  CHECK(open([](spantap_options* o) { o->struct_size += 100; }) == SPANTAP_OK);
  spantap_close(client);
}

TEST_CASE("wrong use: after closing the client its producers say so", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  spantap_close(host.client);
  host.client = nullptr;
  const spantap_span span = MakeSpan(1);
  spantap_context child;
  CHECK(spantap_submit(host.producer, &span) == SPANTAP_CLOSED);
  CHECK(spantap_attach(host.producer) == SPANTAP_CLOSED);
  CHECK(spantap_flush(host.producer, 1) == SPANTAP_CLOSED);
  CHECK(spantap_sample(host.producer, nullptr, &child) == SPANTAP_CLOSED);
  CHECK(spantap_enabled(host.producer) == 0);
  CHECK(host.Stats().dropped_off == 1);
}

TEST_CASE("mode off: nothing is connected, sampled or handed off, and traces pass through", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  spantap_options options = SPANTAP_OPTIONS_INIT;
  options.mode = SPANTAP_MODE_OFF;
  Host host(place.socket(), options);
  agent.Serve();
  CHECK(agent.producers() == 0);
  const spantap_span span = MakeSpan(1);
  spantap_context child;
  CHECK(spantap_submit(host.producer, &span) == SPANTAP_NO_AGENT);
  CHECK(host.Stats().dropped_off == 1);
  CHECK(host.Stats().attach_attempts == 0);
  CHECK(spantap_sample(host.producer, nullptr, &child) == 0);
  CHECK((child.flags & SPANTAP_SAMPLED) == 0);
  CHECK(spantap_sample(host.producer, &span.context, &child) == 0);
  CHECK(memcmp(&child, &span.context, sizeof(child)) == 0);
}

TEST_CASE("status: each value has a text of its own", "[handoff]") {
  for (spantap_status a = 0; a >= SPANTAP_TIMEOUT; --a) {
    CHECK(std::string(spantap_status_text(a)) != spantap_status_text(-99));
    for (spantap_status b = 0; b > a; --b) CHECK(std::string(spantap_status_text(a)) != spantap_status_text(b));
  }
  CHECK(spantap_api_version() == SPANTAP_API_VERSION);
  CHECK(std::string(spantap_version()) == SPANTAP_VERSION);
}

}  // namespace
}  // namespace spantap
