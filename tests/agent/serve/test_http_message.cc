// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/serve/http_message.h"
#include "agent/serve/listen_address.h"

namespace spantap {
namespace {

TEST_CASE("request: the line says what is wanted, and only it", "[serve]") {
  struct Case {
    const char* line;
    int status;
    const char* path;
    bool head;
  };
  const Case cases[] = {
      {"GET /metrics HTTP/1.1", 0, "/metrics", false},
      {"HEAD /metrics HTTP/1.0", 0, "/metrics", true},
      {"GET /metrics?a=/b HTTP/1.1", 0, "/metrics", false},
      {"GET http://127.0.0.1:9464/ledger?x HTTP/1.1", 0, "/ledger", false},
      {"GET http://127.0.0.1:9464 HTTP/1.1", 0, "/", false},
      {"GET http://127.0.0.1:9464?/metrics HTTP/1.1", 0, "/", false},
      {"GET /../etc/passwd HTTP/1.1", 0, "/../etc/passwd", false},
      {"POST /metrics HTTP/1.1", 405, "", false},
      {"OPTIONS * HTTP/1.1", 405, "", false},
      {"CONNECT a:1 HTTP/1.1", 405, "", false},
      {"GET metrics HTTP/1.1", 400, "", false},
      {"GET https://a/metrics HTTP/1.1", 400, "", false},
      {"GET * HTTP/1.1", 400, "", false},
      {"GET /metrics", 400, "", false},
      {"GET  HTTP/1.1", 400, "", false},
      {"GET /a b HTTP/1.1", 400, "", false},
      {"GET /\t HTTP/1.1", 400, "", false},
      {"GET /\xff HTTP/1.1", 400, "", false},
      {"get /metrics HTTP/1.1", 400, "", false},
      {" /metrics HTTP/1.1", 400, "", false},
      {"GET /metrics FTP/1.1", 400, "", false},
      {"GET /metrics HTTP/2.0", 505, "", false},
      {"PRI * HTTP/2.0", 505, "", false},
      {"", 400, "", false},
      {"\x16\x03\x01\x02", 400, "", false},
  };
  for (const Case& c : cases) {
    INFO(c.line);
    HttpRequest request;
    CHECK(ParseRequest(absl::StrCat(c.line, "\r\nhost: a\r\n\r\n"), request) == c.status);
    if (c.status != 0) continue;
    CHECK(request.path == c.path);
    CHECK(request.head == c.head);
  }
}

TEST_CASE("request: any bytes have an answer", "[serve]") {
  std::mt19937 random(4);
  const char alphabet[] = "GETHAD /:?.HTTP/1.1\r\n \0\xff";
  for (int round = 0; round < 20'000; ++round) {
    std::string head;
    for (size_t size = random() % 64; size > 0; --size) head += alphabet[random() % (sizeof(alphabet) - 1)];
    HttpRequest request;
    const int status = ParseRequest(head, request);
    CHECK((status == 0 || status == 400 || status == 405 || status == 505));
    if (status == 0) CHECK(absl::StartsWith(request.path, "/"));
  }
}

TEST_CASE("response: length, type and the end of the connection are told", "[serve]") {
  const std::string text = FormatResponse({200, "application/json", "{}\n"}, false);
  CHECK(absl::StartsWith(text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n"));
  CHECK(absl::StrContains(text, "\r\nConnection: close\r\n"));
  CHECK(absl::EndsWith(text, "\r\n\r\n{}\n"));
  const std::string head = FormatResponse({200, "application/json", "{}\n"}, true);
  CHECK(absl::StrContains(head, "Content-Length: 3\r\n"));
  CHECK(absl::EndsWith(head, "\r\n\r\n"));
  CHECK(absl::StrContains(FormatResponse(PlainResponse(405), false), "\r\nAllow: GET, HEAD\r\n"));
}

TEST_CASE("listen: accepted and refused addresses", "[serve]") {
  for (const char* good : {"127.0.0.1:0", "127.9.9.9:65535", "[::1]:9464", "localhost:1"}) {
    INFO(good);
    REQUIRE(ParseListenAddress(good).ok());
    CHECK(ParseListenAddress(good)->loopback);
  }
  for (const char* wide : {"0.0.0.0:1", "[::]:9464", "192.0.2.1:80"}) {
    INFO(wide);
    REQUIRE(ParseListenAddress(wide).ok());
    CHECK_FALSE(ParseListenAddress(wide)->loopback);
  }
  for (const absl::string_view bad : std::initializer_list<absl::string_view>{absl::string_view("127.0.0.1\0x:80", 14),
                                                                              "",
                                                                              ":",
                                                                              "9464",
                                                                              ":9464",
                                                                              "127.0.0.1",
                                                                              "127.0.0.1:",
                                                                              "127.0.0.1:65536",
                                                                              "127.0.0.1:-1",
                                                                              "127.0.0.1: 1",
                                                                              "127.0.0.1:99999999999",
                                                                              "::1:9464",
                                                                              "[::1]",
                                                                              "[::1:1",
                                                                              "::1]:1",
                                                                              "example.org:80",
                                                                              "127.1:80",
                                                                              "[127.0.0.1]:80",
                                                                              "unix:/run/x",
                                                                              "http://127.0.0.1:80",
                                                                              "127.0.0.1:80/metrics",
                                                                              "\n:1"}) {
    INFO(std::string(bad));
    const auto address = ParseListenAddress(bad);
    REQUIRE_FALSE(address.ok());
    CHECK(absl::IsInvalidArgument(address.status()));
    CHECK(absl::StrContains(std::string(address.status().message()), "accepted: IPV4:PORT"));
    CHECK(std::string(address.status().message()).find('\n') == std::string::npos);
  }
}

TEST_CASE("listen: a port that is taken is named", "[serve]") {
  const auto any = OpenListener(*ParseListenAddress("127.0.0.1:0"), "127.0.0.1:0");
  REQUIRE(any.ok());
  const std::string taken = BoundAddress(any->get());
  const auto second = OpenListener(*ParseListenAddress(taken), taken);
  REQUIRE_FALSE(second.ok());
  CHECK(absl::IsInvalidArgument(second.status()));
  CHECK(absl::StrContains(std::string(second.status().message()), absl::StrCat("'", taken, "' is taken")));
  const auto foreign = OpenListener(*ParseListenAddress("192.0.2.1:9464"), "192.0.2.1:9464");
  REQUIRE_FALSE(foreign.ok());
  CHECK(absl::StrContains(std::string(foreign.status().message()), "is no address of this machine"));
}

}  // namespace
}  // namespace spantap
