// SPDX-License-Identifier: Apache-2.0
//
// The way to a ring: no agent, a late one, one that lies, ends, dies, comes back; and that nothing is left behind.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <set>
#include <thread>

#include "ring_agent.h"
#include "tests/fakes/rounds.h"

namespace spantap {
namespace {

spantap_status Submit(const Host& host, uint64_t number) {
  const spantap_span span = MakeSpan(number);
  return spantap_submit(host.producer, &span);
}

std::set<int> Descriptors() {
  std::set<int> found;
  for (int fd = 0; fd < 512; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) found.insert(fd);
  }
  return found;
}

void Sleep(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

TEST_CASE("attach: without an agent spans are dropped and counted, and attempts are few", "[handoff]") {
  Place place;
  Host host(place.socket());
  errno = 77;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  uint64_t tried = 0;
  for (; std::chrono::steady_clock::now() < end; ++tried) REQUIRE(Submit(host, tried) == SPANTAP_NO_AGENT);
  CHECK(errno == 77);
  CHECK(host.Stats().dropped_no_agent == tried);
  CHECK(host.Stats().attach_attempts >= 2);
  CHECK(host.Stats().attach_attempts <= 5);
  CHECK(host.Stats().attached == 0);
  CHECK(spantap_enabled(host.producer) == 0);
  CHECK(spantap_flush(host.producer, 0) == SPANTAP_NO_AGENT);
}

TEST_CASE("attach: an agent that comes later is found, and told what was dropped before", "[handoff]") {
  Place place;
  Host host(place.socket());
  for (uint64_t i = 0; i < 3; ++i) CHECK(Submit(host, i) == SPANTAP_NO_AGENT);
  RingAgent agent(place.socket());
  REQUIRE(host.Attach(&agent));
  CHECK(spantap_enabled(host.producer) == 1);
  CHECK(agent.ring(0)->dropped_no_agent == 3);
  spantap_span bad = MakeSpan(1);
  bad.kind = 9;
  CHECK(spantap_submit(host.producer, &bad) == SPANTAP_INVALID);
  CHECK(agent.ring(0)->dropped_no_agent == 3);
  CHECK(agent.ring(0)->dropped_invalid == 1);
  CHECK(Submit(host, 9) == SPANTAP_OK);
  const auto spans = agent.Take();
  REQUIRE(spans.size() == 1);
  CHECK(NumberOf(spans[0].fixed) == 9);
  CHECK(spantap_flush(host.producer, 1000) == SPANTAP_OK);
  CHECK(Submit(host, 10) == SPANTAP_OK);
  CHECK(spantap_flush(host.producer, 5) == SPANTAP_TIMEOUT);
}

TEST_CASE("attach: the hello carries the resource and the wish", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  const spantap_attr resource[] = {{SPANTAP_KEY_NAMED, SPANTAP_STRING, 0, {"zone", 4}, {{"eu", 2}}}};
  spantap_options options = SPANTAP_OPTIONS_INIT;
  options.service_name = {"shop", 4};
  options.resource = resource;
  options.resource_count = 1;
  options.ring_bytes = 1 << 20;
  Host host(place.socket(), options);
  REQUIRE(host.Attach(&agent));
  spantap_hello hello;
  memcpy(&hello, agent.hello(0).data(), sizeof(hello));
  CHECK(hello.magic == SPANTAP_HELLO_MAGIC);
  CHECK(hello.version == SPANTAP_HANDOFF_VERSION);
  CHECK(hello.ring_bytes == 1 << 20);
  CHECK(hello.attr_count == 2);
  CHECK(hello.attr_bytes == agent.hello(0).size() - sizeof(hello));
  CHECK(agent.hello(0).substr(sizeof(hello)) ==
        std::string("\0\0\1\14\4\0\0\0service.nameshop\0\0\1\4\2\0\0\0zoneeu", 38));
}

TEST_CASE("attach: an agent that lies is refused and counted, and nothing stays open", "[handoff]") {
  Lies lies;
  SECTION("unsealed memory") { lies.sealed = false; }
  SECTION("no memory") { lies.pass_memory = false; }
  SECTION("a refusal") { lies.status = EACCES; }
  SECTION("another version") { lies.welcome_version = 2; }
  SECTION("no ring in the memory") { lies.ring_magic = 1; }
  SECTION("larger than the memory") { lies.said_bytes = 2 * SPANTAP_RING_MIN_BYTES; }
  SECTION("no power of two") { lies.said_bytes = SPANTAP_RING_MIN_BYTES + 4096; }
  SECTION("too small") { lies.said_bytes = SPANTAP_RING_MIN_BYTES / 2; }
  SECTION("too large") { lies.said_bytes = 2ull * SPANTAP_RING_MAX_BYTES; }
  Place place;
  RingAgent agent(place.socket());
  agent.lies = lies;
  Host host(place.socket());
  const int before = OpenDescriptors();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  while (host.Stats().refused_agent == 0 && std::chrono::steady_clock::now() < end) {
    agent.Serve();
    CHECK(Submit(host, 1) == SPANTAP_NO_AGENT);
    Sleep(1);
  }
  CHECK(host.Stats().refused_agent == 1);
  CHECK(host.Stats().attached_times == 0);
  CHECK(OpenDescriptors() <= before);  // the connection that was open is closed; the agent's end stays
  agent.lies = Lies();
  CHECK(host.Attach(&agent));  // and the next honest answer is taken
}

TEST_CASE("attach: an agent that never answers is given up, and cannot make spans wait", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  agent.lies.silent = true;
  Host host(place.socket());
  agent.Serve();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) REQUIRE(Submit(host, i) == SPANTAP_NO_AGENT);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(500));
  while (!agent.HungUp(0) && std::chrono::steady_clock::now() - begin < std::chrono::seconds(3)) {
    spantap_attach(host.producer);
    Sleep(5);
  }
  CHECK(agent.HungUp(0));
}

TEST_CASE("attach: what a dead agent has not read goes to the next one, in order", "[handoff]") {
  Place place;
  std::optional<RingAgent> agent(std::in_place, place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&*agent));
  for (uint64_t i = 0; i < 10; ++i) REQUIRE(Submit(host, i) == SPANTAP_OK);
  CHECK(agent->Take(4).size() == 4);
  agent.reset();
  agent.emplace(place.socket());
  Sleep(110);  // the look at the connection is limited
  REQUIRE(host.Attach(&*agent));
  REQUIRE(Submit(host, 10) == SPANTAP_OK);
  const auto spans = agent->Take();
  REQUIRE(spans.size() == 7);
  for (size_t i = 0; i < spans.size(); ++i) CHECK(NumberOf(spans[i].fixed) == 4 + i);
  CHECK(host.Stats().handed_off == 11);
  CHECK(host.Stats().attached_times == 2);
}

TEST_CASE("attach: requests alone find out that the agent was killed, by the spans' end times", "[handoff]") {
  Place place;
  std::optional<RingAgent> agent(std::in_place, place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&*agent));
  REQUIRE(Submit(host, 0) == SPANTAP_OK);
  agent.reset();
  Sleep(110);
  REQUIRE(Submit(host, 500) == SPANTAP_OK);  // half a second later: nobody looks
  CHECK(host.Stats().attached == 1);
  CHECK(Submit(host, 1500) == SPANTAP_NO_AGENT);  // two records unread for more than a second
  CHECK(host.Stats().attached == 0);
  agent.emplace(place.socket());
  REQUIRE(host.Attach(&*agent));
  CHECK(agent->Take().size() == 2);
}

TEST_CASE("attach: what does not fit into the new ring is counted as full", "[handoff]") {
  Place place;
  std::optional<RingAgent> agent(std::in_place, place.socket(), 2 * SPANTAP_RING_MIN_BYTES);
  Host host(place.socket());
  REQUIRE(host.Attach(&*agent));
  uint64_t submitted = 0;
  while (Submit(host, submitted) == SPANTAP_OK) ++submitted;
  CHECK(host.Stats().dropped_full == 1);
  agent.reset();
  agent.emplace(place.socket(), SPANTAP_RING_MIN_BYTES);
  Sleep(110);
  REQUIRE(host.Attach(&*agent));
  const auto spans = agent->Take();
  CHECK(spans.size() == submitted / 2);
  CHECK(host.Stats().handed_off == spans.size());
  CHECK(host.Stats().handed_off + host.Stats().dropped_full == submitted + 1);
  // The dead agent had not taken note of the first drop.
  CHECK(agent->ring(0)->dropped_full == submitted - spans.size() + 1);
}

TEST_CASE("attach: a drop is told until one agent has taken note of it, and to no other", "[handoff]") {
  Place place;
  std::optional<RingAgent> agent(std::in_place, place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&*agent));
  uint64_t submitted = 0;
  while (Submit(host, submitted) == SPANTAP_OK) ++submitted;
  for (int i = 0; i < 4; ++i) CHECK(Submit(host, submitted) == SPANTAP_FULL);
  CHECK(agent->ring(0)->dropped_full == 5);
  uint64_t taken = 0;
  SECTION("some") { taken = 3; }
  SECTION("all") { taken = 5; }
  SECTION("a lie") { taken = UINT64_MAX; }
  agent->Take();
  __atomic_store_n(&agent->ring(0)->taken_full, taken, __ATOMIC_RELAXED);
  agent.reset();
  agent.emplace(place.socket());
  Sleep(110);
  REQUIRE(host.Attach(&*agent));
  CHECK(agent->ring(0)->dropped_full == (taken == 3 ? 2 : 0));
  CHECK(host.Stats().dropped_full == 5);
}

TEST_CASE("attach: an agent that ends in order is left only after it has hung up", "[handoff]") {
  Place place;
  std::optional<RingAgent> agent(std::in_place, place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&*agent));
  REQUIRE(Submit(host, 0) == SPANTAP_OK);
  agent->SetState(SPANTAP_RING_CLOSED);
  CHECK(spantap_enabled(host.producer) == 0);
  CHECK(Submit(host, 1) == SPANTAP_NO_AGENT);
  Sleep(110);
  CHECK(spantap_attach(host.producer) == SPANTAP_NO_AGENT);
  CHECK(agent->producers() == 1);  // still drains: no second connection yet
  CHECK(agent->Take().size() == 1);
  agent->HangUp();
  agent.reset();
  agent.emplace(place.socket());
  Sleep(110);
  REQUIRE(host.Attach(&*agent));
  CHECK(agent->Take().empty());
  CHECK(Submit(host, 2) == SPANTAP_OK);
  CHECK(agent->Take().size() == 1);
}

TEST_CASE("attach: a pause is obeyed and ends", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  agent.SetState(SPANTAP_RING_PAUSED);
  CHECK(spantap_enabled(host.producer) == 0);
  CHECK(Submit(host, 1) == SPANTAP_NO_AGENT);
  CHECK(agent.ring(0)->dropped_no_agent == 1);
  agent.SetState(SPANTAP_RING_OPEN);
  CHECK(Submit(host, 2) == SPANTAP_OK);
}

TEST_CASE("attach: restarts of the agent leave no descriptor, no mapping, and lose nothing", "[handoff]") {
  const int restarts = Rounds(10);
  Place place;
  Host host(place.socket());
  int descriptors = 0;
  size_t taken = 0;
  for (int i = 0; i < restarts; ++i) {
    RingAgent agent(place.socket());
    if (i > 0) Sleep(110);  // so that the last one's end is looked for
    REQUIRE(host.Attach(&agent));
    REQUIRE(Submit(host, 2 * i) == SPANTAP_OK);
    taken += agent.Take().size();
    REQUIRE(Submit(host, 2 * i + 1) == SPANTAP_OK);  // for the next one
    if (i == 1) descriptors = OpenDescriptors();
    if (i > 1) CHECK(OpenDescriptors() == descriptors);
  }
  CHECK(taken == 2u * restarts - 1);
  CHECK(host.Stats().attached_times == static_cast<uint64_t>(restarts));
}

TEST_CASE("attach: a host that closes what it does not know loses the connection, and no file of its own",
          "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  const std::set<int> before = Descriptors();
  Host host(place.socket());
  int ours = -1;
  for (int fd : Descriptors()) ours = before.count(fd) == 0 ? fd : ours;
  REQUIRE(ours > 2);
  REQUIRE(host.Attach(&agent));
  REQUIRE(Submit(host, 0) == SPANTAP_OK);
  const int other = open("/dev/null", O_RDWR | O_CLOEXEC);
  REQUIRE(dup2(other, ours) == ours);  // closed, and the number given to a file
  close(other);
  CHECK(agent.HungUp(0));
  Sleep(110);
  spantap_attach(host.producer);
  CHECK(fcntl(ours, F_GETFD) >= 0);
  CHECK(agent.Take().size() == 1);  // drained by the agent, so not to be moved
  REQUIRE(host.Attach(&agent));
  CHECK(Submit(host, 1) == SPANTAP_OK);
  CHECK(agent.Take().size() == 1);
  close(ours);
}

}  // namespace
}  // namespace spantap
