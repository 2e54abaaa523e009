// SPDX-License-Identifier: Apache-2.0
//
// How connections begin and end: before and after attaching, EOF, reset, shutdown, failure.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "include/base/clock.h"
#include "tests/bpf/observe.h"
#include "tests/bpf/sockets.h"

namespace spantap::testing {
namespace {

const std::string kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

const End* FindEnd(const Connection& connection, spantap_end_reason reason) {
  for (const End& end : connection.ends) {
    if (end.reason == reason) return &end;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("ends: FIN sent, FIN read, closed", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    char buffer[256];
    SendAll(pair.client, kRequest);
    MUST(shutdown(pair.client, SHUT_WR) == 0);
    // Data and FIN are in the queue together: the read that takes the data may consume the FIN as well.
    MUST(recv(pair.server, buffer, sizeof(buffer), 0) == static_cast<ssize_t>(kRequest.size()));
    MUST(recv(pair.server, buffer, sizeof(buffer), 0) == 0);
    MUST(recv(pair.server, buffer, sizeof(buffer), 0) == 0);
    SendAll(pair.server, "done");
    close(pair.server);
    MUST(recv(pair.client, buffer, sizeof(buffer), 0) == 4);
    MUST(recv(pair.client, buffer, sizeof(buffer), 0) == 0);
    close(pair.client);
    usleep(20'000);
  });
  const Connection& client = seen.Peer(Shared().port);
  const Connection& server = seen.Local(Shared().port);
  CHECK(client.Text(true) == kRequest);
  CHECK(server.Text(false) == kRequest);
  CHECK(client.Text(false) == "done");
  REQUIRE(client.ends.size() == 3);
  REQUIRE(server.ends.size() == 3);
  CHECK(client.ends[0].reason == SPANTAP_END_SHUTDOWN);
  CHECK(client.ends[0].write);
  CHECK(client.ends[0].write_offset == kRequest.size());
  CHECK(client.ends[1].reason == SPANTAP_END_EOF);
  CHECK(client.ends[1].read_offset == 4);
  CHECK(server.ends[0].reason == SPANTAP_END_EOF);  // once, though read twice
  CHECK_FALSE(server.ends[0].write);
  CHECK(server.ends[0].read_offset == kRequest.size());
  CHECK(server.ends[1].reason == SPANTAP_END_SHUTDOWN);
  CHECK(server.ends[1].write_offset == 4);
  for (const Connection* end : {&client, &server}) {
    CHECK(end->ends[2].reason == SPANTAP_END_CLOSED);
    CHECK(end->open_came_first);
    CHECK(end->ends[2].write_offset == end->ends.at(end == &client ? 0 : 1).write_offset);
  }
}

TEST_CASE("ends: an empty read is no end", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    char buffer[64];
    SendAll(pair.client, kRequest);
    MUST(recv(pair.server, buffer, 4, 0) == 4);
    MUST(recv(pair.server, buffer, 0, 0) == 0);
    MUST(recv(pair.server, buffer, sizeof(buffer), 0) == static_cast<ssize_t>(kRequest.size() - 4));
  });
  const Connection& server = seen.Local(Shared().port);
  CHECK(server.Text(false) == kRequest);
  CHECK_FALSE(server.Ended(SPANTAP_END_EOF));
}

TEST_CASE("ends: the peer resets", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    char buffer[256];
    SendAll(pair.client, kRequest);
    MUST(recv(pair.server, buffer, sizeof(buffer), 0) > 0);
    const linger abort = {1, 0};
    MUST(setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)) == 0);
    close(pair.client);
    MUST(recv(pair.server, buffer, sizeof(buffer), 0) < 0);
  });
  const Connection& server = seen.Local(Shared().port);
  const Connection& client = seen.Peer(Shared().port);
  const End* reset = FindEnd(server, SPANTAP_END_RESET);
  REQUIRE(reset != nullptr);
  CHECK(reset->error == ECONNRESET);
  CHECK(reset->read_offset == kRequest.size());
  CHECK(server.ends.size() == 2);
  CHECK(server.Ended(SPANTAP_END_CLOSED));
  CHECK(client.Ended(SPANTAP_END_CLOSED));
  CHECK_FALSE(client.Ended(SPANTAP_END_SHUTDOWN));
}

TEST_CASE("ends: bytes that came before a reset are read after it", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    SendAll(pair.client, kRequest);
    SendAll(pair.server, "unread by the client, so close() resets");
    usleep(1000);
    close(pair.client);
    usleep(1000);
    ReceiveAll(pair.server, kRequest.size());
    close(pair.server);
  });
  const Connection& server = seen.Local(Shared().port);
  CHECK(server.Text(false) == kRequest);
  REQUIRE(server.ends.size() == 2);
  CHECK(server.ends[0].reason == SPANTAP_END_RESET);
  CHECK(server.ends[0].read_offset == kRequest.size());
  CHECK(server.ends[1].reason == SPANTAP_END_CLOSED);
}

TEST_CASE("ends: writing after the peer is gone", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = UnixPair();
    SendAll(pair.client, kRequest);
    ReceiveAll(pair.server, kRequest.size());
    close(pair.server);
    MUST(send(pair.client, "x", 1, 0) < 0);
    char buffer[8];
    MUST(recv(pair.client, buffer, sizeof(buffer), 0) == 0);
  });
  const Connection& client = seen.connections.at(seen.order.at(0));
  const End* reset = FindEnd(client, SPANTAP_END_RESET);
  REQUIRE(reset != nullptr);
  CHECK(reset->error == EPIPE);
  CHECK(reset->write);
  CHECK(client.Ended(SPANTAP_END_EOF));
}

TEST_CASE("begins: connections that were open before us", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const bool used = GENERATE(false, true);
  static Pair pair;
  const Observation seen = Observe(
      {.hooks = hooks},
      [used] {
        pair = TcpPair();
        if (!used) return;
        SendAll(pair.client, "earlier bytes");
        ReceiveAll(pair.server, 13);
        SendAll(pair.server, "reply");
        ReceiveAll(pair.client, 2);
      },
      [] {
        SendAll(pair.client, kRequest);
        ReceiveAll(pair.server, kRequest.size());
      });
  const Connection& client = seen.Peer(Shared().port);
  const Connection& server = seen.Local(Shared().port);
  CHECK(client.Text(true) == kRequest);
  CHECK(server.Text(false) == kRequest);
  CHECK(client.open.role == SPANTAP_ROLE_UNKNOWN);
  CHECK(static_cast<uint32_t>(client.open.write_position) == static_cast<uint32_t>(server.open.read_position));
  const uint16_t both = SPANTAP_F_READ_FROM_START | SPANTAP_F_WRITE_FROM_START;
  CHECK(server.open.header.flags == (used ? 0 : both));
  CHECK(server.open.role == (used ? SPANTAP_ROLE_UNKNOWN : SPANTAP_ROLE_ACCEPTED));
  // Three unread bytes lie in the client's queue in the first case.
  CHECK(client.open.header.flags == (used ? 0 : SPANTAP_F_READ_FROM_START));
}

TEST_CASE("begins: a connect is dated by its call, a failed one makes no event", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    uint16_t closed_port = 0;
    close(Listen(&closed_port));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(closed_port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MUST(connect(socket(AF_INET, SOCK_STREAM, 0), reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0);
    Shared().numbers[0] = MonoNs();
    const Pair pair = TcpPair();
    Shared().numbers[1] = MonoNs();
    usleep(5000);
    SendAll(pair.client, kRequest);
  });
  REQUIRE(seen.connections.size() == 1);
  const Connection& client = seen.Peer(Shared().port);
  CHECK(client.open.header.mono_ns > Shared().numbers[0]);
  CHECK(client.open.header.mono_ns < Shared().numbers[1]);
  CHECK(client.open.header.tid == seen.child);
  CHECK(client.open.local_port == Shared().other_port);
}

TEST_CASE("positions: byte arithmetic holds over many calls of any size", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const bool unix_socket = GENERATE(false, true);
  const Observation seen = Observe({.hooks = hooks, .ring_bytes = 1 << 22}, [unix_socket] {
    const Pair pair = unix_socket ? UnixPair() : TcpPair();
    const pid_t writer = fork();
    if (writer == 0) {
      for (size_t i = 0; i < 2000; ++i) SendAll(pair.client, std::string(1 + i * 37 % 9000, '.'));
      _exit(0);
    }
    close(pair.client);
    char buffer[7000];
    uint64_t total = 0;
    for (ssize_t got = 1; got > 0; total += static_cast<uint64_t>(got))
      MUST((got = recv(pair.server, buffer, 1 + total % sizeof(buffer), 0)) >= 0);
    Shared().numbers[0] = total;
  });
  REQUIRE(seen.connections.size() == 2);
  uint64_t totals[2] = {};
  for (const uint64_t id : seen.order) {
    const Connection& connection = seen.connections.at(id);
    for (const std::vector<Piece>* pieces : {&connection.in, &connection.out}) {
      uint64_t end = 0;
      for (const Piece& piece : *pieces) {
        if (piece.Has(SPANTAP_F_CALL_START)) CHECK(piece.offset == end);
        CHECK(piece.offset >= end);
        end = piece.end();
      }
      totals[pieces == &connection.out] += end;
    }
  }
  CHECK(totals[0] == Shared().numbers[0]);
  CHECK(totals[1] == Shared().numbers[0]);
}

}  // namespace spantap::testing
