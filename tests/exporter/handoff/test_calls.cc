// SPDX-License-Identifier: Apache-2.0
//
// System calls of a producer, counted one by one by its parent: of an attempt to attach, while an answer is awaited,
// and of spans with a ring.
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <optional>

#include "ring_agent.h"

namespace spantap {
namespace {

// Between two stops of a child that runs `body`; `meanwhile` is called before each of them. Empty: no tracing here.
std::optional<std::vector<uint64_t>> CallsOf(const std::function<void()>& body,
                                             const std::function<void()>& meanwhile) {
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    body();
    _exit(0);
  }
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) meanwhile();
  if (!WIFSTOPPED(status)) return std::nullopt;
  REQUIRE(ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD) == 0);
  std::vector<uint64_t> calls;
  for (bool entry = true;;) {
    REQUIRE(ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSTOPPED(status));
    if (WSTOPSIG(status) == SIGSTOP) break;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    user_regs_struct registers = {};
    REQUIRE(ptrace(PTRACE_GETREGS, child, nullptr, &registers) == 0);
    if (entry) calls.push_back(registers.orig_rax);
    entry = !entry;
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return calls;
}

// raise() is more than one call itself.
void Stop() { syscall(SYS_kill, getpid(), SIGSTOP); }

void Submit(const Host& host, uint64_t number) {
  const spantap_span span = MakeSpan(number);
  spantap_submit(host.producer, &span);
}

uint64_t CoarseNs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

// The calls of `spans` submits; those that stop the child are not counted.
std::optional<std::vector<uint64_t>> CallsOfSubmits(const std::string& socket, int spans, int ticks, bool attached,
                                                    const std::function<void()>& meanwhile) {
  auto calls = CallsOf(
      [&] {
        Host host(socket);
        for (int i = 0; attached && spantap_attach(host.producer) != SPANTAP_OK && i < 3000; ++i) usleep(1000);
        close(open((socket + ".open").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        if (!attached) usleep(150000);  // the attempt of spantap_producer_open() is over, another is due
        Stop();
        for (int i = 0; i < spans; ++i) Submit(host, static_cast<uint64_t>(i) * 3000);  // three seconds apart
        const uint64_t until = CoarseNs() + static_cast<uint64_t>(ticks) * 4'000'000;
        while (CoarseNs() < until) Submit(host, 1);
        Stop();
      },
      meanwhile);
  if (calls) {
    while (!calls->empty() && (calls->back() == SYS_kill || calls->back() == SYS_getpid)) calls->pop_back();
  }
  return calls;
}

TEST_CASE("calls: an attempt without an agent takes three, and spans until the next one none", "[handoff]") {
  Place place;
  SECTION("no socket") {}
  SECTION("a socket of an agent that was killed") {
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, place.socket().data(), place.socket().size());
    REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    close(fd);
  }
  const auto calls = CallsOfSubmits(place.socket(), 500, 0, false, [] { usleep(100); });
  if (!calls) {
    WARN("no tracing of children here");
    return;
  }
  CHECK(*calls == std::vector<uint64_t>{SYS_socket, SYS_connect, SYS_close});
}

TEST_CASE("calls: while an agent does not answer, one look a tick", "[handoff]") {
  Place place;
  std::optional<RingAgent> agent;
  const auto calls = CallsOfSubmits(place.socket(), 1, 20, false, [&] {
    usleep(1000);
    if (!agent && access((place.socket() + ".open").c_str(), F_OK) == 0)
      agent.emplace(place.socket());  // accepts, and never answers
  });
  if (!calls) {
    WARN("no tracing of children here");
    return;
  }
  REQUIRE(calls->size() >= 4);
  CHECK(std::vector<uint64_t>(calls->begin(), calls->begin() + 4) ==
        std::vector<uint64_t>{SYS_socket, SYS_connect, SYS_sendto, SYS_getsockopt});
  for (size_t i = 4; i < calls->size(); ++i) CHECK((*calls)[i] == SYS_recvmsg);
  CHECK(calls->size() <= 4 + 24);
}

TEST_CASE("calls: none for a thousand spans, a reader's death looked for or not", "[handoff]") {
  Place place;
  RingAgent agent(place.socket(), SPANTAP_RING_DEFAULT_BYTES);
  const auto calls = CallsOfSubmits(place.socket(), 1000, 0, true, [&] {
    agent.Serve();
    usleep(100);
  });
  if (!calls) {
    WARN("no tracing of children here");
    return;
  }
  // Nobody reads, and the spans are seconds apart: what is left is one look at the connection each 100 ms.
  CHECK(calls->size() <= 2 * 5);
  for (const uint64_t call : *calls) CHECK((call == SYS_getsockopt || call == SYS_recvfrom));
}

}  // namespace
}  // namespace spantap
