// SPDX-License-Identifier: Apache-2.0
//
// The counters that a thread's message heads carry for linking.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "tests/bpf/observe.h"
#include "tests/bpf/sockets.h"

namespace spantap::testing {
namespace {

const std::string kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kResponse = "HTTP/1.1 204 No Content\r\n\r\n";

// Each way to wait, once without and once with leave to sleep.
void WaitEveryWay(int epoll, int socket) {
  epoll_event event;
  for (const int milliseconds : {0, 1}) {
    timespec time = {0, milliseconds * 1'000'000L};
    timeval old_time = {0, milliseconds * 1000L};
    pollfd ready = {socket, POLLIN, 0};
    MUST(epoll_wait(epoll, &event, 1, milliseconds) >= 0);
    MUST(syscall(SYS_epoll_pwait, epoll, &event, 1, milliseconds, nullptr, 8) >= 0);
    MUST(syscall(SYS_epoll_pwait2, epoll, &event, 1, &time, nullptr, 8) >= 0);
    MUST(syscall(SYS_poll, &ready, 1, milliseconds) >= 0);
    MUST(syscall(SYS_ppoll, &ready, 1, &time, nullptr, 8) >= 0);  // overwrites `time`
    MUST(syscall(SYS_select, 0, nullptr, nullptr, nullptr, &old_time) >= 0);
    time = {0, milliseconds * 1'000'000L};
    MUST(syscall(SYS_pselect6, 0, nullptr, nullptr, nullptr, &time, nullptr) >= 0);
  }
}

}  // namespace

TEST_CASE("turns: waits, sleeps and heads of a thread", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks, .turns = true}, [] {
    const Pair pair = TcpPair();
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    SendAll(pair.client, kRequest);              // nwrite 1
    ReceiveAll(pair.server, kRequest.size());    // nread 1, nreq 1
    WaitEveryWay(epoll, pair.client);            // 14 turns, 7 that could sleep
    SendAll(pair.server, kResponse);             // nwrite 2
    ReceiveAll(pair.client, kResponse.size());   // nread 2
    SendAll(pair.client, std::string(50, 'b'));  // a body: not counted
    SendAll(pair.client, kRequest);              // nwrite 3
  });
  const Connection& client = seen.Peer(Shared().port);
  const Connection& server = seen.Local(Shared().port);
  const auto same = [](const Piece& piece, const spantap_turns& expected) {
    CHECK(piece.Has(SPANTAP_F_COUNTED));
    CHECK(piece.turns.turn == expected.turn);
    CHECK(piece.turns.burst == expected.burst);
    CHECK(piece.turns.nreq == expected.nreq);
    CHECK(piece.turns.nread == expected.nread);
    CHECK(piece.turns.nwrite == expected.nwrite);
  };
  REQUIRE(client.out.size() == 3);
  REQUIRE(server.in.size() == 1);
  REQUIRE(server.out.size() == 1);
  REQUIRE(client.in.size() == 1);
  same(client.out[0], {0, 0, 0, 0, 1});
  same(server.in[0], {0, 0, 1, 1, 1});
  same(server.out[0], {14, 7, 1, 1, 2});
  same(client.in[0], {14, 7, 1, 2, 2});
  CHECK_FALSE(client.out[1].Has(SPANTAP_F_COUNTED));
  CHECK(client.out[1].turns.nwrite == 0);
  same(client.out[2], {14, 7, 1, 2, 3});
}

// Go's server reads the first byte of the next request by itself.
TEST_CASE("turns: a head in several calls counts once, at its first byte", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const std::string request = GENERATE("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                                       "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE /a HTTP/1.1\r\nHost: a\r\n\r\n");
  const Observation seen = Observe({.hooks = hooks, .turns = true}, [&request] {
    const Pair pair = TcpPair();
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event;
    for (int i = 0; i < 2; ++i) {
      SendAll(pair.client, request);
      ReceiveAll(pair.server, 1);
      MUST(epoll_wait(epoll, &event, 1, 0) == 0);
      ReceiveAll(pair.server, 20);
      ReceiveAll(pair.server, request.size() - 21);
    }
  });
  const Connection& server = seen.Local(Shared().port);
  REQUIRE(server.in.size() == 6);
  for (const uint32_t i : {0u, 1u}) {
    const Piece& first = server.in[i * 3];
    CHECK(first.Has(SPANTAP_F_COUNTED | SPANTAP_F_HEAD));
    CHECK(first.turns.turn == i);
    CHECK(first.turns.nreq == i + 1);
    CHECK(first.turns.nread == i + 1);
    for (const uint32_t rest : {1u, 2u}) {
      CHECK_FALSE(server.in[i * 3 + rest].Has(SPANTAP_F_COUNTED));
      CHECK_FALSE(server.in[i * 3 + rest].Has(SPANTAP_F_HEAD));
    }
  }
  CHECK(server.Text(false) == request + request);
}

TEST_CASE("turns: heads in one call count once, the preface of HTTP/2 not at all", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const Observation seen = Observe({.hooks = hooks, .turns = true}, [&preface] {
    const Pair pair = TcpPair();
    for (const std::string& call : {kRequest + kRequest, preface, kRequest}) {
      SendAll(pair.client, call);
      ReceiveAll(pair.server, call.size());
    }
  });
  const Connection& server = seen.Local(Shared().port);
  REQUIRE(server.in.size() == 3);
  CHECK(server.in[0].Has(SPANTAP_F_COUNTED));
  CHECK(server.in[0].turns.nreq == 1);
  CHECK_FALSE(server.in[1].Has(SPANTAP_F_COUNTED));
  CHECK(server.in[1].data == preface);
  CHECK(server.in[2].Has(SPANTAP_F_COUNTED));
  CHECK(server.in[2].turns.nreq == 2);
  CHECK(server.in[2].turns.nread == 2);
  CHECK(server.in[2].turns.nwrite == 2);
}

TEST_CASE("turns: one target's can be left uncounted, and counted again", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  int phase = 0;
  const auto poll = [&phase](BpfSource& source, Observation& so_far) {
    source.CountTurns(so_far.child, ++phase == 2);
    source.CountTurns(1, false);  // no target
    struct Deaf final : EventSink {
      void OnEvent(const EventView&) override {}
      void OnTime(uint64_t) override {}
    } deaf;
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    while (std::chrono::steady_clock::now() < until) REQUIRE(source.Poll(deaf, 5).ok());
  };
  const Observation seen = Observe({.hooks = hooks, .turns = true, .on_phase = poll}, [] {
    const Pair pair = TcpPair();
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event;
    for (int i = 0; i < 3; ++i) {
      if (i > 0) Phase();
      MUST(epoll_wait(epoll, &event, 1, 0) >= 0);
      SendAll(pair.client, kRequest);
    }
  });
  const std::vector<Piece>& out = seen.Peer(Shared().port).out;
  REQUIRE(out.size() == 3);
  CHECK(out[0].Has(SPANTAP_F_COUNTED));
  CHECK(out[0].turns.turn == 1);
  CHECK_FALSE(out[1].Has(SPANTAP_F_COUNTED));
  CHECK(out[1].turns.turn == 0);
  CHECK(out[2].Has(SPANTAP_F_COUNTED));
  CHECK(out[2].turns.turn == 2);
  CHECK(out[2].turns.nwrite == 2);
}

TEST_CASE("turns: not counted unless asked for", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    SendAll(pair.client, kRequest);
  });
  const Piece& head = seen.Peer(Shared().port).out.at(0);
  CHECK_FALSE(head.Has(SPANTAP_F_COUNTED));
  CHECK(head.turns.nwrite == 0);
}

}  // namespace spantap::testing
