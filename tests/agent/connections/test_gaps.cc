// SPDX-License-Identifier: Apache-2.0
//
// Missing bytes: what is left out on purpose costs nothing, what is lost costs a counted loss and never
// a wrong pair. Orders, limits, and records out of order.
#include <catch2/catch.hpp>

#include "agent/connections/loss_watch.h"
#include "tests/agent/connections/exchange_log.h"

namespace spantap {
namespace {

constexpr char kGet[] = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr char kGetB[] = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr char kOk0[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
constexpr char kOk5[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
constexpr uint64_t kMs = 1'000'000;

std::string Run(EventBuilder& events, TestTable& t) {
  t.Send(events);
  t.table.FinishAll(events.now_ns());
  return t.log.Text();
}

void Exchanges(EventBuilder& events, int count) {
  for (int i = 0; i < count; ++i) {
    events.Read(1, kGet);
    events.Write(1, kOk5);
  }
}

TEST_CASE("gaps: inside a body of known length", "[gaps]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, kGet);
  events.Write(1, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
  events.Miss(1, true, 70'000);
  events.At(5000 * kMs).BodyCall(1, true, std::string(30'000, 'x'));
  events.Read(1, kGetB);
  events.Write(1, kOk0);
  TestTable t;
  CHECK(Run(events, t) ==
        "server GET /a -> 200 req=0 resp=100000 exact\n"
        "server GET /b -> 200 req=0 resp=0 exact\n");
  CHECK(t.log.finished[0]->end_ns == 5000 * kMs);
  CHECK(t.counters().gaps_lost == 0);
}

TEST_CASE("gaps: inside a chunk, and across chunks with the last one seen", "[gaps]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, kGet);
  events.Write(1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  events.BodyCall(1, true, "400\r\n" + std::string(0x400, 'x') + "\r\n");
  events.Write(1, "0\r\n\r\n");
  events.Read(1, kGetB);
  events.Write(1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  events.BodyCall(1, true, "80\r\n" + std::string(0x80, 'x') + "\r\n80\r\n" + std::string(0x80, 'y') + "\r\n0\r\n\r\n");
  Exchanges(events, 1);
  TestTable t;
  CHECK(Run(events, t) ==
        "server GET /a -> 200 req=0 resp=1024 exact\n"
        "server GET /b -> 200 req=0 resp=269 guessed\n"
        "server GET /a -> 200 req=0 resp=5 exact\n");
  CHECK(t.counters().gaps_lost == 0);
}

TEST_CASE("gaps: a hidden end is taken at the last bytes, when the client goes on or all is quiet", "[gaps]") {
  EventBuilder events;
  events.Open(1);
  for (int i = 0; i < 2; ++i) {
    events.Read(1, kGet);
    events.Write(1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    events.BodyCall(1, true,
                    "40\r\n" + std::string(0x40, 'x') + "\r\n40\r\n" + std::string(0x40, 'y') + "\r\n0\r\nT: v\r\n\r");
    events.At((3000 + 1000 * i) * kMs).Write(1, "\n");
    events.At((3500 + 1000 * i) * kMs);
  }
  TestTable t;
  t.Send(events);
  REQUIRE(t.log.finished.size() == 1);
  CHECK(t.log.finished[0]->end_ns == 3000 * kMs);
  CHECK(t.log.finished[0]->body_end == BodyEnd::kGuessed);
  t.table.OnTime(4500 * kMs);
  CHECK(t.log.finished.size() == 1);
  t.table.OnTime(5600 * kMs);
  REQUIRE(t.log.finished.size() == 2);
  CHECK(t.log.finished[1]->end_ns == 4000 * kMs);
  CHECK(t.log.finished[1]->error == ExchangeError::kNone);
}

TEST_CASE("gaps: a head over the capture's cap", "[gaps]") {
  const std::string cookie(6000, 'c');
  const std::string head = "GET /long HTTP/1.1\r\nHost: h\r\nCookie: " + cookie + "\r\nLast: l\r\n\r\n";
  EventBuilder events;
  events.Open(1);
  events.BodyCall(1, false, head, SPANTAP_HEAD_BYTES);
  events.Write(1, kOk5);
  Exchanges(events, 1);
  TestTable t;
  CHECK(Run(events, t) ==
        "server GET /long -> 200 req=0 resp=5 exact\n"
        "server GET /a -> 200 req=0 resp=5 exact\n");
  CHECK(t.counters().head_truncated == 1);
  CHECK(t.counters().exchanges_lost == 0);
  const HttpHead& cut = t.log.finished[0]->request;
  CHECK(cut.truncated);
  CHECK(cut.Find("host") == "h");
  CHECK(cut.Find("cookie").data() == nullptr);
}

// One clean cycle is enough of a client that has been seen with nothing open, eight of another.
TEST_CASE("gaps: a lost response drops what is open, then clean cycles make sure again", "[gaps]") {
  const bool known = GENERATE(true, false);
  EventBuilder events;
  events.Open(1);
  Exchanges(events, known ? 1 : 0);
  events.Read(1, kGet);
  events.Miss(1, true, sizeof(kOk5) - 1);
  events.Read(1, kGetB);
  events.Write(1, kOk0);  // the answer to /b, for all we see it could be that to /a
  Exchanges(events, known ? 2 : 9);
  TestTable t;
  Run(events, t);
  t.log.finished.erase(t.log.finished.begin(), t.log.finished.begin() + (known ? 1 : 0));
  CHECK(t.log.Text() ==
        "server GET /a -> 0 req=0 resp=0 exact unfinished\n"
        "server GET /b -> 0 req=0 resp=0 exact unfinished\n"
        "server GET /a -> 200 req=0 resp=5 exact\n");
  CHECK(t.log.finished[0]->had_gap);
  CHECK(t.counters().gaps_lost == 1);
  CHECK(t.counters().exchanges_lost == (known ? 3 : 10));
  CHECK(t.counters().exchanges == (known ? 4 : 3));
}

TEST_CASE("gaps: a lost request leaves what was asked before it", "[gaps]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, kGet);
  events.Miss(1, false, 100);
  events.Read(1, kGetB);
  events.Write(1, kOk5);
  events.Write(1, kOk0);
  TestTable t;
  CHECK(Run(events, t) == "server GET /a -> 200 req=0 resp=5 exact\n");
  CHECK(t.counters().exchanges_lost == 1);
}

TEST_CASE("gaps: once requests overlapped, a loss is for good", "[gaps]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, std::string(kGet) + kGetB);
  events.Write(1, std::string(kOk5) + kOk5);
  events.Miss(1, false, 100);
  Exchanges(events, 20);
  TestTable t;
  Run(events, t);
  CHECK(t.log.finished.size() == 2);
  CHECK(t.counters().exchanges_lost == 20);
}

TEST_CASE("gaps: bytes that are no message", "[gaps]") {
  EventBuilder events;
  events.Open(1);
  Exchanges(events, 2);
  events.Read(1, "\x01\x02 garbage");
  Exchanges(events, 2);
  TestTable t;
  Run(events, t);
  CHECK(t.log.finished.size() == 3);
  CHECK(t.counters().invalid == 1);
}

TEST_CASE("records: a piece seen twice counts once", "[gaps]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, kGet);
  const BuiltEvent again = events.records().back();
  events.records().push_back(again);
  events.Write(1, kOk5);
  TestTable t;
  CHECK(Run(events, t) == "server GET /a -> 200 req=0 resp=5 exact\n");
  CHECK(t.counters().duplicate_bytes == sizeof(kGet) - 1);
}

TEST_CASE("records: a response reported just before its request", "[gaps]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, kOk5);
  events.Write(1, kGet);
  events.Write(1, kGetB);
  events.Read(1, kOk0);
  TestTable t;
  const std::string text = Run(events, t);
  CHECK(absl::StrContains(text, "client GET /a -> 200"));
  CHECK(absl::StrContains(text, "client GET /b -> 200 req=0 resp=0 exact"));
  CHECK(t.log.failures.empty());
}

TEST_CASE("orders: given for long bodies only, up to the last byte", "[orders]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, "PUT /a HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
  TestTable t;
  t.Send(events);
  CHECK(t.orders.empty());
  events.Read(1, std::string(1000, 'x'));
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
  events.Write(1, head);
  t.Send(events);
  CHECK(t.orders[1].mute_write_until == 5000 + head.size() + 1'000'000 - 1);
  CHECK(t.orders[1].mute_read_until == 0);
  // The call with the last byte is all that the kernel tells.
  events.Miss(1, true, 999'999);
  events.At(7000 * kMs).DataPiece(1, true, "x", 1, false, true);
  t.Send(events);
  REQUIRE(t.log.finished.size() == 1);
  CHECK(t.log.finished[0]->end_ns == 7000 * kMs);
  CHECK(t.log.finished[0]->response_body_bytes == 1'000'000);
}

TEST_CASE("gaps: exchanges tell that records of others were lost", "[gaps]") {
  EventBuilder events;
  events.Open(1);
  const auto exchange = [&](uint64_t ms, uint8_t lost) {
    events.At(ms * kMs).Read(1, kGet);
    events.records().back().header().lost = lost;
    events.Write(1, kOk0);
  };
  exchange(2000, 0);
  exchange(2100, 3);
  exchange(2900, 0);
  exchange(3050, 0);  // the next second: the one before still counts
  exchange(4100, 0);
  exchange(9000, 255);
  exchange(19000, 0);
  TestTable t;
  Run(events, t);
  std::vector<bool> lost;
  for (const auto& each : t.log.finished) lost.push_back(each->records_lost);
  CHECK(lost == std::vector<bool>{false, true, true, true, false, true, false});
}

TEST_CASE("gaps: one lost among thousands is no reason to doubt", "[gaps]") {
  LossWatch watch;
  for (int i = 0; i < 5000; ++i) watch.Add(1000, 0);
  watch.Add(1000, 5);
  CHECK_FALSE(watch.losing());
  watch.Add(1000, 1);
  CHECK(watch.losing());
  watch.Add(10, 0);  // a clock that goes back
  CHECK(watch.losing());
  watch.Add(UINT64_MAX, 0);
  CHECK_FALSE(watch.losing());
}

TEST_CASE("limits: the table forgets the least recently used", "[limits]") {
  TestTable t({.max_connections = 2});
  EventBuilder events;
  for (const uint64_t id : {1, 2, 1, 3}) {
    if (id != 1 || events.position(1, true) == 0) events.Open(id);
    events.Read(id, kGet);
  }
  t.Send(events);
  CHECK(t.counters().evicted == 1);
  CHECK(t.counters().opened == 3);
  REQUIRE(t.log.finished.size() == 1);
  CHECK(t.log.finished[0]->endpoint.conn_id == 2);
  CHECK(t.log.finished[0]->error == ExchangeError::kUnfinished);
}

TEST_CASE("limits: idle connections, pending requests", "[limits]") {
  TestTable t({.max_pending = 3, .idle_limit_ns = 1000 * kMs});
  EventBuilder events;
  events.Open(1);
  for (int i = 0; i < 5; ++i) events.Read(1, kGet);
  t.Send(events);
  CHECK(t.counters().exchanges == 3);
  CHECK(t.counters().pending_overflow == 1);
  CHECK(t.counters().exchanges_lost == 1);
  t.table.OnTime(events.now_ns() + 900 * kMs);
  CHECK(t.counters().idle == 0);
  t.table.OnTime(events.now_ns() + 1100 * kMs);
  CHECK(t.counters().idle == 1);
  CHECK(t.log.finished.size() == 3);
  CHECK(t.log.failures.empty());
}

}  // namespace
}  // namespace spantap
