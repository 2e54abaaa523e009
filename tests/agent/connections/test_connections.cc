// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/agent/connections/exchange_log.h"

namespace spantap {
namespace {

constexpr char kGet[] = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr char kOk5[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

std::string Run(EventBuilder& events) {
  TestTable t;
  t.Send(events);
  t.table.FinishAll(events.now_ns());
  return t.log.Text();
}

TEST_CASE("connections: a keep-alive server connection", "[connections]") {
  EventBuilder events;
  events.Open(1);
  events.Read(1, kGet);
  events.Write(1, kOk5);
  events.Read(1, "POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
  events.Write(1, "HTTP/1.1 204 No Content\r\n\r\n");
  events.Closed(1);
  CHECK(Run(events) ==
        "server GET /a -> 200 req=0 resp=5 exact\n"
        "server POST /b -> 204 req=3 resp=0 exact\n");
}

}  // namespace
}  // namespace spantap
