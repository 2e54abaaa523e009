// SPDX-License-Identifier: Apache-2.0
//
// What /proc says about processes. Needs no root: it only looks at this process and its children.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "agent/capture/targets.h"
#include "include/base/clock.h"

namespace spantap {
namespace {

// A child that runs `prepare` and then waits to be killed.
class Child {
 public:
  template <typename Prepare>
  explicit Child(Prepare prepare) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      prepare();
      (void)!write(ready[1], "r", 1);
      pause();
      _exit(0);
    }
    close(ready[1]);
    char byte = 0;
    const bool prepared = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    REQUIRE(prepared);
  }
  ~Child() { End(); }
  void End() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  uint32_t pid() const { return static_cast<uint32_t>(pid_); }

 private:
  pid_t pid_ = 0;
};

uint16_t ListenSomewhere(int family) {
  const int listener = socket(family, SOCK_STREAM, 0);
  sockaddr_in6 address = {};
  address.sin6_family = static_cast<sa_family_t>(family);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), family == AF_INET ? 16 : sizeof(address)) != 0) return 0;
  socklen_t length = sizeof(address);
  if (listen(listener, 1) != 0 || getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.sin6_port);
}

}  // namespace

TEST_CASE("targets: what /proc says about a process", "[capture]") {
  const uint64_t before = MonoNs();
  Child child([] { prctl(PR_SET_NAME, "odd) name (x"); });
  const auto facts = ReadProcess(child.pid());
  REQUIRE(facts.ok());
  CHECK(facts->tgid == child.pid());
  CHECK(facts->parent == static_cast<uint32_t>(getpid()));
  CHECK(facts->comm == "odd) name (x");
  CHECK(facts->exe.find('/') == 0);
  CHECK(facts->exe.find("capture") != std::string::npos);
  CHECK(facts->listen_port == 0);
  // /proc counts in ticks of 10 ms since boot.
  CHECK(facts->start_mono_ns + 100'000'000 > before);
  CHECK(facts->start_mono_ns < MonoNs() + 100'000'000);
}

TEST_CASE("targets: a process's own service name and attributes", "[capture]") {
  int ready[2], hold[2];  // `hold` keeps the child's read waiting
  REQUIRE(pipe(ready) == 0);
  REQUIRE(pipe(hold) == 0);
  const pid_t child = fork();
  if (child == 0) {
    // /proc shows the environment that was given to exec.
    const char* environment[] = {"A=b", "OTEL_SERVICE_NAME=front", "XOTEL_SERVICE_NAME=no",
                                 "OTEL_RESOURCE_ATTRIBUTES=k=v,l=w", nullptr};
    dup2(ready[1], 1);
    dup2(hold[0], 0);
    execle("/bin/sh", "sh", "-c", "echo r; read never", nullptr, environment);
    _exit(9);
  }
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  const auto facts = ReadProcess(static_cast<uint32_t>(child));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  for (const int end : {ready[0], ready[1], hold[0], hold[1]}) close(end);
  REQUIRE(facts.ok());
  CHECK(facts->otel_service_name == "front");
  CHECK(facts->otel_resource_attributes == "k=v,l=w");
}

TEST_CASE("targets: listening ports, the lowest for a name, all for a search", "[capture]") {
  const int family = GENERATE(AF_INET, AF_INET6);
  int ports[2];
  REQUIRE(pipe(ports) == 0);
  Child child([&] {
    const uint16_t both[2] = {ListenSomewhere(family), ListenSomewhere(family)};
    (void)!write(ports[1], both, sizeof(both));
  });
  uint16_t both[2] = {};
  REQUIRE(read(ports[0], both, sizeof(both)) == sizeof(both));
  for (const int end : ports) close(end);
  REQUIRE(both[0] != 0);
  REQUIRE(both[1] != 0);
  CHECK(ReadProcess(child.pid())->listen_port == std::min(both[0], both[1]));
  for (const uint16_t port : both) CHECK(ListenersOn(port) == std::vector<uint32_t>{child.pid()});
  child.End();
  CHECK(ListenersOn(both[0]).empty());
}

TEST_CASE("targets: processes and their parents", "[capture]") {
  Child child([] {});
  const auto processes = ListProcesses();
  const auto has = [&](uint32_t tgid, uint32_t parent) {
    return std::count(processes.begin(), processes.end(), std::make_pair(tgid, parent)) == 1;
  };
  CHECK(has(static_cast<uint32_t>(getpid()), static_cast<uint32_t>(getppid())));
  CHECK(has(child.pid(), static_cast<uint32_t>(getpid())));
}

TEST_CASE("targets: a process that is gone is not found", "[capture]") {
  Child child([] {});
  const uint32_t pid = child.pid();
  child.End();
  const auto facts = ReadProcess(pid);
  REQUIRE_FALSE(facts.ok());
  CHECK(absl::IsNotFound(facts.status()));
}

}  // namespace spantap
