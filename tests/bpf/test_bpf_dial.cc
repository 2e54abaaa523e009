// SPDX-License-Identifier: Apache-2.0
//
// What an open record tells of the connect() call: its moment, its thread and that thread's counters, also when the
// connection is established, and its record made, much later.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "tests/bpf/observe.h"
#include "tests/bpf/sockets.h"

namespace spantap::testing {
namespace {

const std::string kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kResponse = "HTTP/1.1 204 No Content\r\n\r\n";

uint64_t Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

void Wait(int epoll, int times, int milliseconds) {
  epoll_event event;
  for (int i = 0; i < times; ++i) MUST(epoll_wait(epoll, &event, 1, milliseconds) == 0);
}

// Starts to connect; notes the time before and after the call in numbers[0] and [1]. True if it is on its way.
bool StartConnect(int socket, uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Shared().numbers[0] = Now();
  const int result = connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  Shared().numbers[1] = Now();
  MUST(result == 0 || errno == EINPROGRESS);
  return result != 0;
}

void CheckTurns(const spantap_turns& turns, const spantap_turns& expected) {
  CHECK(turns.turn == expected.turn);
  CHECK(turns.burst == expected.burst);
  CHECK(turns.nreq == expected.nreq);
  CHECK(turns.nread == expected.nread);
  CHECK(turns.nwrite == expected.nwrite);
}

void CheckDial(const Observation& seen, const spantap_open_event& open) {
  CHECK(open.role == SPANTAP_ROLE_CONNECTED);
  CHECK(open.dialled_by == seen.child);
  CHECK(open.header.tgid == seen.child);
  CHECK(open.header.mono_ns >= Shared().numbers[0]);
  CHECK(open.header.mono_ns <= Shared().numbers[1]);
}

}  // namespace

TEST_CASE("dial: a blocking connect", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks, .turns = true}, [] {
    const Pair other = TcpPair();
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    SendAll(other.client, kRequest);            // nwrite 1
    ReceiveAll(other.server, kRequest.size());  // nread 1, nreq 1
    Wait(epoll, 3, 0);                          // turn 3
    Wait(epoll, 2, 1);                          // turn 5, burst 2
    uint16_t port = 0;
    const int listener = Listen(&port);
    Shared().port = port;
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(!StartConnect(client, port));
    Wait(epoll, 4, 0);  // turn 9
    SendAll(client, kRequest);
    close(listener);
  });
  const Connection& client = seen.Peer(Shared().port);
  CheckDial(seen, client.open);
  CHECK(client.open.header.tid == seen.child);
  CHECK((client.open.header.flags & SPANTAP_F_COUNTED) != 0);
  CheckTurns(client.open.turns, {5, 2, 1, 1, 1});
  REQUIRE(client.out.size() == 1);
  CheckTurns(client.out[0].turns, {9, 2, 1, 1, 2});
}

TEST_CASE("dial: a non-blocking connect that takes a second", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks, .turns = true}, [] {
    // Room for one: a second SYN is dropped until the first connection is accepted, and then sent again.
    uint16_t port = 0;
    const int listener = Listen(&port);
    MUST(listen(listener, 0) == 0);
    const int filler = Connect(port);
    Shared().port = port;
    Shared().other_port = LocalPort(filler);
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    Wait(epoll, 1, 1);  // turn 1, burst 1
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    MUST(StartConnect(client, port));
    epoll_event event = {EPOLLOUT, {}};
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event) == 0);
    Wait(epoll, 2, 0);  // turn 3
    Wait(epoll, 1, 1);  // turn 4, burst 2
    MUST(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC) >= 0);
    SendAll(filler, kRequest);                        // nwrite 1
    MUST(epoll_wait(epoll, &event, 1, 10'000) == 1);  // turn 5, burst 3: established
    Shared().numbers[2] = Now();
    SendAll(client, kRequest);
    Shared().numbers[3] = LocalPort(client);
  });
  const Connection& client = seen.Local(static_cast<uint16_t>(Shared().numbers[3]));
  CheckDial(seen, client.open);
  CHECK(client.open.header.tid == seen.child);
  CHECK((client.open.header.flags & SPANTAP_F_COUNTED) != 0);
  CheckTurns(client.open.turns, {1, 1, 0, 0, 0});
  CHECK(Shared().numbers[2] - client.open.header.mono_ns > 500'000'000);  // it really took long
  REQUIRE(client.out.size() == 1);
  CheckTurns(client.out[0].turns, {5, 3, 0, 0, 2});
}

TEST_CASE("dial: by one thread, used by another", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks, .turns = true}, [] {
    uint16_t port = 0;
    const int listener = Listen(&port);
    Shared().port = port;
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    Wait(epoll, 2, 0);
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::thread([&] {
      Shared().numbers[4] = static_cast<uint64_t>(gettid());
      Wait(epoll, 1, 1);
      MUST(!StartConnect(client, port));
    }).join();
    SendAll(client, kRequest);
    close(listener);
  });
  const Connection& client = seen.Peer(Shared().port);
  CheckDial(seen, client.open);
  CHECK(client.open.header.tid == Shared().numbers[4]);
  CheckTurns(client.open.turns, {1, 1, 0, 0, 0});
  REQUIRE(client.out.size() == 1);
  CHECK(client.out[0].tid == seen.child);
  CheckTurns(client.out[0].turns, {2, 0, 0, 0, 1});
}

TEST_CASE("dial: the accepting end, earlier connections, and no counters unless asked for", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const bool turns = GENERATE(false, true);
  static Pair before;
  const Observation seen = Observe(
      {.hooks = hooks, .turns = turns},
      [] {
        before = TcpPair();
        Shared().numbers[5] = Shared().port;
      },
      [] {
        SendAll(before.client, kRequest);
        uint16_t port = 0;
        const int listener = Listen(&port);
        const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        MUST(!StartConnect(client, port));
        const int server = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        Shared().port = port;
        SendAll(client, kRequest);
        ReceiveAll(server, kRequest.size());
        SendAll(server, kResponse);
      });
  const Connection& client = seen.Peer(Shared().port);
  CheckDial(seen, client.open);
  CHECK(((client.open.header.flags & SPANTAP_F_COUNTED) != 0) == turns);
  CheckTurns(client.open.turns, {0, 0, 0, 0, turns ? 1u : 0u});
  for (const Connection* other : {&seen.Local(Shared().port), &seen.Peer(static_cast<uint16_t>(Shared().numbers[5]))}) {
    CHECK(other->open.dialled_by == 0);
    CHECK((other->open.header.flags & SPANTAP_F_COUNTED) == 0);
    CheckTurns(other->open.turns, {});
  }
}

}  // namespace spantap::testing
