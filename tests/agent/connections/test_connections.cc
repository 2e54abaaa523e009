// SPDX-License-Identifier: Apache-2.0
//
// Connections: role and protocol, ends and errors, orders, limits. Every case is the records of one
// capture and the exchanges that they must lead to.
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/agent/connections/exchange_log.h"

namespace spantap {
namespace {

constexpr char kGet[] = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr char kGetB[] = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr char kOk5[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
constexpr char kOk0[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
constexpr uint64_t kMs = 1'000'000;

// What the records lead to; connections still open at the end are given up.
std::string Run(EventBuilder& events, TestTable& t) {
  t.Send(events);
  t.table.FinishAll(events.now_ns());
  return t.log.Text();
}
std::string Run(EventBuilder& events) {
  TestTable t;
  return Run(events, t);
}

TEST_CASE("connections: keep-alive, as server and as client", "[connections]") {
  for (const bool client : {false, true}) {
    EventBuilder events;
    events.Open(1);
    events.Call(1, client, kGet);
    events.Call(1, !client, kOk5);
    events.Call(1, client, "POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
    events.Call(1, !client, "HTTP/1.1 204 No Content\r\n\r\n");
    events.Closed(1);
    const std::string role = client ? "client " : "server ";
    CHECK(Run(events) == role + "GET /a -> 200 req=0 resp=5 exact\n" + role + "POST /b -> 204 req=3 resp=0 exact\n");
  }
}

TEST_CASE("connections: times, threads and counters are those of the calls", "[connections]") {
  EventBuilder events;
  events.As(7, 71).Open(1, {.local_port = 80, .peer_port = 4000});
  events.At(2000 * kMs).Counted({5, 4, 3, 2, 1}).Read(1, "POST /a HTTP/1.1\r\nContent-Le");
  events.At(2010 * kMs).Uncounted().Read(1, "ngth: 2\r\n\r\n");
  events.At(2020 * kMs).Read(1, "ab");
  events.As(7, 72).At(2030 * kMs).Counted({9, 8, 7, 6, 5}).Write(1, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nx");
  events.At(2040 * kMs).Write(1, "yzz");
  TestTable t;
  REQUIRE(Run(events, t) == "server POST /a -> 200 req=2 resp=4 exact\n");
  const Exchange& x = *t.log.finished[0];
  CHECK(x.tgid == 7);
  CHECK(x.endpoint.local_port == 80);
  CHECK(x.request_stamp.mono_ns == 2000 * kMs);
  CHECK(x.request_stamp.end_mono_ns == 2010 * kMs);
  CHECK(x.request_stamp.position == 1000);
  CHECK(x.request_stamp.tid == 71);
  CHECK(x.request_stamp.counted);
  CHECK(x.request_stamp.turns.nreq == 3);
  CHECK(x.request_end_ns == 2020 * kMs);
  CHECK(x.response_stamp.mono_ns == 2030 * kMs);
  CHECK(x.response_stamp.tid == 72);
  CHECK(x.response_stamp.turns.turn == 9);
  CHECK(x.response_stamp.position == 5000);
  CHECK(x.end_ns == 2040 * kMs);
}

TEST_CASE("connections: pipelined requests in one call", "[connections]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, std::string(kGet) + kGetB);
  events.Write(1, std::string(kOk5) + kOk0);
  TestTable t;
  CHECK(Run(events, t) == "server GET /a -> 200 req=0 resp=5 exact\nserver GET /b -> 200 req=0 resp=0 exact\n");
  CHECK(t.log.finished[0]->pipelined_behind == 0);
  CHECK(t.log.finished[1]->pipelined_behind == 1);
}

TEST_CASE("connections: the first bytes may come one by one", "[connections]") {
  EventBuilder events;
  events.Open(1);
  for (const char& c : std::string(kGet)) events.Read(1, absl::string_view(&c, 1));
  for (const char& c : std::string(kOk5)) events.Write(1, absl::string_view(&c, 1));
  TestTable t;
  REQUIRE(Run(events, t) == "server GET /a -> 200 req=0 resp=5 exact\n");
  CHECK(t.log.finished[0]->request_stamp.position == 1000);
  CHECK(t.log.finished[0]->request_stamp.mono_ns == 1001 * kMs);
}

TEST_CASE("connections: interim responses, HEAD, 304, HTTP/1.0 until close", "[connections]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, "POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  events.Write(1, "HTTP/1.1 100 Continue\r\n\r\n");
  events.Read(1, "ab");
  events.Write(1, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
  events.Write(1, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
  events.Read(1, "HEAD /h HTTP/1.1\r\n\r\n");
  events.Write(1, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
  events.Read(1, kGet);
  events.Write(1, "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n");
  events.Read(1, "GET /old HTTP/1.0\r\n\r\n");
  events.Write(1, "HTTP/1.0 200 OK\r\n\r\nuntil ");
  events.Write(1, "close");
  events.Closed(1);
  CHECK(Run(events) ==
        "server POST /a -> 201 req=2 resp=0 exact\n"
        "server HEAD /h -> 200 req=0 resp=0 exact\n"
        "server GET /a -> 304 req=0 resp=0 exact\n"
        "server GET /old -> 200 req=0 resp=11 at-close\n");
}

TEST_CASE("connections: tunnels become opaque, refused ones do not", "[connections]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, "CONNECT h:443 HTTP/1.1\r\n\r\n");
  events.Write(1, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  events.Read(1, "CONNECT h:444 HTTP/1.1\r\n\r\n");
  events.Write(1, "HTTP/1.1 200 OK\r\n\r\n");
  events.Read(1, kGet);
  events.Open(2);
  events.Write(2, "GET /chat HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  events.Read(2, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x05hello");
  events.Write(2, kGet);
  TestTable t;
  CHECK(Run(events, t) ==
        "server CONNECT h:443 -> 403 req=0 resp=0 exact\n"
        "server CONNECT h:444 -> 200 req=0 resp=0 exact\n"
        "client GET /chat -> 101 req=0 resp=0 exact\n");
  CHECK(t.counters().opaque == 2);
  CHECK(t.orders[1].mute_read_until == ~0ull);
  CHECK(t.orders[1].mute_write_until == ~0ull);
}

TEST_CASE("connections: what is not HTTP/1 is left alone", "[connections]") {
  const std::string kHello("\x16\x03\x01\x02\x00\x01\x00", 7);
  const std::string kSettings("\0\0\x12\4\0\0\0\0\0\0\3", 11);
  for (const std::string& first : {kHello, kSettings, std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                                   std::string("SSH-2.0-OpenSSH_9.2p1 Debian\r\n"), std::string("EHLO host\r\n"),
                                   std::string("220 mail ready\r\n"), std::string("\0\0\0\1", 4)}) {
    for (const bool write : {false, true}) {
      EventBuilder events;
      events.Open(1);
      events.Call(1, write, first);
      events.Call(1, write, kGet);
      TestTable t;
      CAPTURE(first);
      CHECK(Run(events, t) == "");
      CHECK(t.counters().opaque == 1);
      CHECK(t.orders[1].mute_read_until == ~0ull);
    }
  }
}

TEST_CASE("connections: joined while open", "[connections]") {
  SECTION("at a request, whichever side it is on") {
    for (const bool client : {false, true}) {
      EventBuilder events;
      events.Open(1, {.from_start = false});
      events.Call(1, client, "end of some upload");
      events.Call(1, client, kGet);
      events.Call(1, !client, kOk5);
      CHECK(Run(events) == std::string(client ? "client" : "server") + " GET /a -> 200 req=0 resp=5 exact\n");
    }
  }
  SECTION("between a request and its response: that pair is not reported") {
    EventBuilder events;
    events.Open(1, {.from_start = false});
    events.Write(1, kOk5);
    for (const char* const request : {kGet, kGetB, kGet}) {
      events.Read(1, request);
      events.Write(1, kOk0);
    }
    TestTable t;
    CHECK(absl::StrContains(Run(events, t), "server GET /a -> 200 req=0 resp=0 exact\n"));
    CHECK(t.log.failures.empty());
  }
  SECTION("inside a response body") {
    EventBuilder events;
    events.Open(1, {.from_start = false});
    events.Write(1, "rest of a body HTTP/1.1 200");
    events.Read(1, kGet);
    events.Write(1, kOk5);
    CHECK(Run(events) == "server GET /a -> 200 req=0 resp=5 exact\n");
  }
}

TEST_CASE("connections: without its open record the first exchanges are not believed", "[connections]") {
  EventBuilder events;
  events.position(1, false) = 50;
  for (int i = 0; i < 9; ++i) {
    events.Read(1, i < 8 ? kGet : kGetB);
    events.Write(1, kOk5);
  }
  TestTable t;
  CHECK(Run(events, t) == "server GET /b -> 200 req=0 resp=5 exact\n");
  CHECK(t.counters().exchanges_lost == 8);
}

TEST_CASE("connections: ends and errors", "[connections]") {
  const auto finish = [](const char* request, const char* response, void (*end)(EventBuilder&), bool client = false) {
    EventBuilder events;
    events.Open(1);
    events.Call(1, client, request);
    if (*response != '\0') events.Call(1, !client, response);
    end(events);
    TestTable t;
    t.Send(events);
    return t.log.Text();
  };
  const auto closed = [](EventBuilder& e) { e.Closed(1); };
  const auto reset = [](EventBuilder& e) { e.Reset(1); };
  const auto eof = [](EventBuilder& e) { e.Eof(1); };
  const char* const part = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
  const char* const upload = "PUT /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf";
  CHECK(finish(kGet, "", closed) == "server GET /a -> 0 req=0 resp=0 exact connection_reset\n");
  CHECK(finish(kGet, "", reset, true) == "client GET /a -> 0 req=0 resp=0 exact connection_reset\n");
  CHECK(finish(kGet, "", eof, true) == "client GET /a -> 0 req=0 resp=0 exact connection_reset\n");
  CHECK(finish(kGet, "", eof) == "open /a\n");  // the answer may still come
  CHECK(finish(kGet, part, closed) == "server GET /a -> 200 req=0 resp=4 aborted response_aborted\n");
  CHECK(finish(kGet, part, eof, true) == "client GET /a -> 200 req=0 resp=4 aborted response_aborted\n");
  CHECK(finish(upload, "", closed) == "server PUT /a -> 0 req=4 resp=0 exact request_aborted\n");
  CHECK(finish(upload, "", reset) == "server PUT /a -> 0 req=4 resp=0 exact request_aborted\n");
  const char* const open_end = "HTTP/1.1 200 OK\r\n\r\nrest";
  CHECK(finish(kGet, open_end, eof, true) == "client GET /a -> 200 req=0 resp=4 at-close\n");
  CHECK(finish(kGet, open_end, closed) == "server GET /a -> 200 req=0 resp=4 at-close\n");
  CHECK(finish(kGet, open_end, reset) == "server GET /a -> 200 req=0 resp=4 aborted response_aborted\n");
  CHECK(finish(kGet, open_end, closed, true) == "client GET /a -> 200 req=0 resp=4 aborted response_aborted\n");
  CHECK(finish(kGet, "", [](EventBuilder& e) { e.Exit(); }) ==
        "server GET /a -> 0 req=0 resp=0 exact connection_reset\n");
}

TEST_CASE("connections: a client that leaves ends the exchange when it leaves", "[connections]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, kGet);
  events.At(3000 * kMs).Eof(1);
  events.At(9000 * kMs).Closed(1);
  TestTable t;
  t.Send(events);
  REQUIRE(t.log.finished.size() == 1);
  CHECK(t.log.finished[0]->end_ns == 3000 * kMs);
  // A request written after the server has hung up has failed when the connection is closed.
  events.Open(3);
  events.Eof(3);
  events.Write(3, kGetB);
  events.Closed(3);
  t.Send(events);
  CHECK(ExchangeLog::Line(*t.log.finished.back()) == "client GET /b -> 0 req=0 resp=0 exact connection_reset");
  // A half-closed client still gets its answer.
  events.Open(2);
  events.Read(2, kGet);
  events.Eof(2);
  events.Write(2, kOk5);
  t.Send(events);
  CHECK(ExchangeLog::Line(*t.log.finished.back()) == "server GET /a -> 200 req=0 resp=5 exact");
}

}  // namespace
}  // namespace spantap
