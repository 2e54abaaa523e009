// SPDX-License-Identifier: Apache-2.0
//
// Which exchange says when its connection was dialled: the first that the dialling process sent on it, no other.
#include <catch2/catch.hpp>

#include "tests/agent/connections/exchange_log.h"

namespace spantap {
namespace {

const std::string kAnswer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
constexpr uint64_t kDialled = 2'000'000'000;

std::string Get(int n) { return absl::StrCat("GET /", n, " HTTP/1.1\r\nhost: a\r\n\r\n"); }

// A connection dialled by thread 7 of process 100 at kDialled, 5 turns into its loop; then another thread.
void Dial(EventBuilder& events) {
  events.As(100, 7).At(kDialled).Counted({5, 2, 1, 3, 4});
  events.Open(1, {.role = SPANTAP_ROLE_CONNECTED, .dialled = true});
  events.As(100, 8).Counted({6, 3, 1, 3, 5});
}

}  // namespace

TEST_CASE("dial: the first request on a dialled connection has the moment of the connect call", "[connections]") {
  TestTable test;
  EventBuilder events;
  Dial(events);
  for (const int n : {1, 2}) {
    events.Write(1, Get(n));
    events.Read(1, kAnswer);
  }
  test.Send(events);
  REQUIRE(test.log.finished.size() == 2);
  const Exchange& first = *test.log.finished[0];
  REQUIRE(first.dial.has_value());
  CHECK(first.dial->mono_ns == kDialled);
  CHECK(first.dial->end_mono_ns == kDialled);
  CHECK(first.dial->position == first.request_stamp.position);
  CHECK(first.dial->tid == 7);
  CHECK(first.dial->counted);
  CHECK(first.dial->turns.turn == 5);
  CHECK(first.dial->turns.burst == 2);
  CHECK(first.dial->turns.nreq == 1);
  CHECK(first.dial->turns.nread == 3);
  CHECK(first.dial->turns.nwrite == 4);
  CHECK(first.request_stamp.mono_ns > kDialled);
  CHECK(first.request_stamp.turns.turn == 6);
  CHECK_FALSE(test.log.finished[1]->dial.has_value());
}

TEST_CASE("dial: of requests written ahead, the first one has it", "[connections]") {
  TestTable test;
  EventBuilder events;
  Dial(events);
  events.Write(1, Get(1) + Get(2));
  events.Read(1, kAnswer + kAnswer);
  test.Send(events);
  REQUIRE(test.log.finished.size() == 2);
  CHECK(test.log.finished[0]->dial.has_value());
  CHECK_FALSE(test.log.finished[1]->dial.has_value());
  // One call, one moment: the kernel counted once, and both say so.
  for (const auto& exchange : test.log.finished) {
    CHECK(exchange->request_stamp.counted);
    CHECK(exchange->request_stamp.turns.nwrite == 5);
  }
}

TEST_CASE("dial: a request in calls of one byte each", "[connections]") {
  TestTable test;
  EventBuilder events;
  Dial(events);
  for (const char byte : Get(1)) {
    events.Write(1, std::string(1, byte));
    events.Uncounted();
  }
  events.Read(1, kAnswer);
  test.Send(events);
  REQUIRE(test.log.finished.size() == 1);
  CHECK(test.log.finished[0]->dial.has_value());
  // The stamp, too, is that of the first byte.
  CHECK(test.log.finished[0]->request_stamp.counted);
  CHECK(test.log.finished[0]->request_stamp.turns.turn == 6);
}

TEST_CASE("dial: without counters the moment is still known", "[connections]") {
  TestTable test;
  EventBuilder events;
  events.As(100, 7).At(kDialled);
  events.Open(1, {.role = SPANTAP_ROLE_CONNECTED, .dialled = true});
  events.Write(1, Get(1));
  events.Read(1, kAnswer);
  test.Send(events);
  REQUIRE(test.log.finished.size() == 1);
  REQUIRE(test.log.finished[0]->dial.has_value());
  CHECK(test.log.finished[0]->dial->mono_ns == kDialled);
  CHECK_FALSE(test.log.finished[0]->dial->counted);
}

TEST_CASE("dial: nobody gets one that is not his", "[connections]") {
  TestTable test;
  EventBuilder events;
  SECTION("a connection that was open before") { events.Open(1, {.role = SPANTAP_ROLE_CONNECTED}); }
  SECTION("one that another process dialled") {
    Dial(events);
    events.As(200);
  }
  SECTION("the first request was lost") {
    Dial(events);
    events.Miss(1, true, 30);
    // Until the order of answers is sure again.
    for (int n = 0; n < 9; ++n) {
      events.Write(1, Get(n));
      events.Read(1, kAnswer);
    }
  }
  SECTION("the open record was lost") {
    events.position(1, true) = 5000;
    for (int n = 0; n < 9; ++n) {
      events.Write(1, Get(n));
      events.Read(1, kAnswer);
    }
  }
  events.Write(1, Get(9));
  events.Read(1, kAnswer);
  test.Send(events);
  REQUIRE(!test.log.finished.empty());
  for (const auto& exchange : test.log.finished) {
    CHECK(exchange->role == Role::kClient);
    CHECK_FALSE(exchange->dial.has_value());
  }
}

TEST_CASE("dial: who dials and then serves has no request of his own", "[connections]") {
  TestTable test;
  EventBuilder events;
  Dial(events);
  events.Read(1, Get(1));
  events.Write(1, kAnswer);
  test.Send(events);
  REQUIRE(test.log.finished.size() == 1);
  CHECK(test.log.finished[0]->role == Role::kServer);
  CHECK_FALSE(test.log.finished[0]->dial.has_value());
}

}  // namespace spantap
