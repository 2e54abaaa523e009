// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/http_server.h"

#include <catch2/catch.hpp>
#include <deque>
#include <list>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/agent/serve/http_client.h"

namespace spantap {
namespace {

constexpr char kGet[] = "GET /x HTTP/1.1\r\nhost: a\r\n\r\n";

// A server that answers with the path, padded to `size`.
struct Rig {
  explicit Rig(size_t size = 0, const HttpServer::Limits& limits = {}) : Rig(AnyPort(), size, limits) {}
  Rig(UniqueFd listener, size_t size, const HttpServer::Limits& limits)
      : address(BoundAddress(listener.get())), server(std::move(listener), limits) {
    server.Start([size](absl::string_view path) {
      HttpResponse response;
      response.body = absl::StrCat("path ", path, std::string(size, '.'));
      return response;
    });
  }
  // A connection can be accepted and answered within the time that a prober has.
  void CheckAlive() const {
    const uint64_t start_ns = MonoNs();
    CHECK(absl::EndsWith(Get(address, kGet), "path /x"));
    CHECK(MonoNs() - start_ns < 1'000'000'000);
  }

  std::string address;
  HttpServer server;
};

TEST_CASE("server: answers GET and HEAD, and closes", "[serve]") {
  Rig rig;
  HttpClient client(rig.address);
  REQUIRE(client.Send(kGet));
  const std::string answer = client.ReadAll();
  CHECK(absl::StartsWith(answer, "HTTP/1.1 200 OK\r\n"));
  CHECK(absl::EndsWith(answer, "\r\n\r\npath /x"));
  CHECK(client.closed());
  CHECK(absl::EndsWith(Get(rig.address, "HEAD /x HTTP/1.1\r\n\r\n"), "\r\n\r\n"));
  rig.server.Stop();
  CHECK(rig.server.stats().requests == 2);
}

TEST_CASE("server: a head in single bytes is a head", "[serve]") {
  Rig rig;
  HttpClient client(rig.address);
  for (const char c : absl::string_view(kGet)) REQUIRE(client.Send(absl::string_view(&c, 1)));
  CHECK(absl::EndsWith(client.ReadAll(), "path /x"));
}

TEST_CASE("server: malformed requests get their status and nothing else", "[serve]") {
  Rig rig;
  const std::pair<std::string, const char*> cases[] = {
      {"\r\n\r\n", "HTTP/1.1 400 "},
      {"nonsense\r\n\r\n", "HTTP/1.1 400 "},
      {std::string("GET /\0 HTTP/1.1\r\n\r\n", 20), "HTTP/1.1 400 "},
      {"POST /x HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n", "HTTP/1.1 405 "},
      {"GET /x HTTP/3.0\r\n\r\n", "HTTP/1.1 505 "},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 505 "},
      {std::string(HttpConnection::kHeadBytes, 'a'), "HTTP/1.1 431 "},
      {absl::StrCat("GET /x HTTP/1.1\r\na: ", std::string(100'000, 'b'), "\r\n\r\n"), "HTTP/1.1 431 "},
      {absl::StrCat("GET /", std::string(HttpConnection::kHeadBytes, 'c'), " HTTP/1.1\r\n\r\n"), "HTTP/1.1 431 "},
  };
  for (const auto& [request, wanted] : cases) {
    INFO(request.substr(0, 60));
    const std::string answer = Get(rig.address, request);
    CHECK(absl::StartsWith(answer, wanted));
    CHECK_FALSE(absl::StrContains(answer, "path"));
  }
  rig.CheckAlive();
}

TEST_CASE("server: a body or a second request is neither read nor answered", "[serve]") {
  Rig rig;
  const std::string body = absl::StrCat(kGet, std::string(30'000, 'x'));
  CHECK(absl::EndsWith(Get(rig.address, body), "path /x"));
  const std::string twice = Get(rig.address, absl::StrCat(kGet, kGet));
  CHECK(twice.find("HTTP/1.1") == twice.rfind("HTTP/1.1"));
  rig.server.Stop();
  CHECK(rig.server.stats().requests == 2);
}

TEST_CASE("server: an endless body ends", "[serve]") {
  Rig rig;
  HttpClient client(rig.address);
  REQUIRE(client.Send(kGet));
  const std::string chunk(16'384, 'x');
  size_t sent = 0;
  while (sent < 64 << 20 && client.Send(chunk)) sent += chunk.size();
  CHECK(sent < 64 << 20);  // the server closed; kernel buffers hold some megabytes
  rig.CheckAlive();
}

TEST_CASE("server: 100 clients at once are all answered", "[serve]") {
  Rig rig(3000);
  std::deque<HttpClient> clients;
  for (int i = 0; i < 100; ++i) REQUIRE(clients.emplace_back(rig.address).connected());
  for (HttpClient& client : clients) REQUIRE(client.Send(kGet));
  for (HttpClient& client : clients) CHECK(absl::StrContains(client.ReadAll(), "path /x..."));
  rig.server.Stop();
  CHECK(rig.server.stats().requests == 100);
  CHECK(rig.server.stats().evicted == 0);
}

TEST_CASE("server: slow clients in any number delay nobody", "[serve]") {
  HttpServer::Limits limits;
  limits.evict_ns = 20'000'000;
  Rig rig(0, limits);
  std::list<HttpClient> slow;
  for (size_t i = 0; i < 3 * limits.max_connections; ++i) {
    slow.emplace_back(rig.address);
    slow.back().Send("GET /x HT");
    if (i % 16 == 0) rig.CheckAlive();
  }
  rig.CheckAlive();
  rig.server.Stop();
  CHECK(rig.server.stats().evicted >= limits.max_connections);
}

TEST_CASE("server: a client that never finishes its request is cut off", "[serve]") {
  HttpServer::Limits limits;
  limits.exchange_ns = 50'000'000;
  Rig rig(0, limits);
  HttpClient client(rig.address);
  REQUIRE(client.Send("GET /"));
  const uint64_t start_ns = MonoNs();
  CHECK(client.ReadAll(5000).empty());
  CHECK(client.closed());
  CHECK(MonoNs() - start_ns < limits.exchange_ns + 500'000'000);
  rig.server.Stop();
  CHECK(rig.server.stats().timed_out == 1);
}

TEST_CASE("server: a client that resets is forgotten", "[serve]") {
  Rig rig(1 << 20);
  for (int i = 0; i < 50; ++i) {
    HttpClient client(rig.address);
    REQUIRE(client.Send(i % 2 == 0 ? kGet : "GET"));
    const linger now = {1, 0};
    setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  }
  CHECK(Get(rig.address, kGet).size() > 1 << 20);
  rig.server.Stop();
  CHECK(rig.server.stats().gone >= 25);
}

TEST_CASE("server: stops at once while clients hang", "[serve]") {
  auto rig = std::make_unique<Rig>(16 << 20);
  HttpClient silent(rig->address), half(rig->address), deaf(rig->address);
  REQUIRE(half.Send("GET /x HTTP/1.1\r\n"));
  REQUIRE(deaf.Send(kGet));  // and reads none of its 16 MiB
  pollfd started = {deaf.fd(), POLLIN, 0};
  REQUIRE(poll(&started, 1, 2000) == 1);
  const uint64_t start_ns = MonoNs();
  rig.reset();
  CHECK(MonoNs() - start_ns < 100'000'000);
}

}  // namespace
}  // namespace spantap
