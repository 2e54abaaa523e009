// SPDX-License-Identifier: Apache-2.0
//
// Forked children go on with what their parent opened, and share nothing with it; several threads do the same.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <thread>

#include "ring_agent.h"

namespace spantap {
namespace {

// What the child found, as a bit each; 0 is good.
int ChildsPart(Host* host, spantap_context* root) {
  int bad = 0;
  bad |= spantap_enabled(host->producer) != 0 ? 1 : 0;
  bad |= host->Stats().handed_off != 0 || host->Stats().attached != 0 ? 2 : 0;
  bad |= spantap_sample(host->producer, nullptr, root) != 1 ? 4 : 0;
  for (int i = 0; i < 2000 && spantap_attach(host->producer) != SPANTAP_OK; ++i) usleep(1000);
  for (uint64_t number = 100; number < 102; ++number) {
    const spantap_span span = MakeSpan(number);
    bad |= spantap_submit(host->producer, &span) != SPANTAP_OK ? 8 : 0;
  }
  bad |= host->Stats().handed_off != 2 || host->Stats().attached_times != 1 ? 16 : 0;
  return bad;
}

TEST_CASE("fork: a child attaches anew, draws other ids, and sends nothing of its parent's", "[handoff]") {
  Place place;
  RingAgent agent(place.socket());
  auto host = std::make_unique<Host>(place.socket());
  REQUIRE(host->Attach(&agent));
  for (uint64_t number = 0; number < 3; ++number) {
    const spantap_span span = MakeSpan(number);
    REQUIRE(spantap_submit(host->producer, &span) == SPANTAP_OK);
  }
  int result[2], go[2];
  REQUIRE(pipe(result) == 0);
  REQUIRE(pipe(go) == 0);
  const pid_t child = fork();
  if (child == 0) {
    spantap_context root = {};
    const int bad = ChildsPart(host.get(), &root);
    const bool written = write(result[1], &root, sizeof(root)) == sizeof(root);
    char byte;
    const bool told = read(go[0], &byte, 1) == 1;
    host.reset();  // frees the child's part only
    _exit(written && told ? bad : 32);
  }
  for (int i = 0; i < 3000 && agent.PeekRecords().size() < 5; ++i) {
    agent.Serve();
    usleep(1000);
  }
  spantap_context root, childs_root;
  REQUIRE(read(result[0], &childs_root, sizeof(childs_root)) == sizeof(childs_root));
  CHECK(spantap_enabled(host->producer) == 1);
  CHECK(spantap_sample(host->producer, nullptr, &root) == 1);
  CHECK(memcmp(&root, &childs_root, sizeof(root)) != 0);
  const spantap_span span = MakeSpan(3);
  CHECK(spantap_submit(host->producer, &span) == SPANTAP_OK);
  CHECK(host->Stats().handed_off == 4);
  std::map<uint64_t, int> numbers;
  for (const TakenSpan& taken : agent.Take()) ++numbers[NumberOf(taken.fixed)];
  CHECK(numbers == std::map<uint64_t, int>{{0, 1}, {1, 1}, {2, 1}, {3, 1}, {100, 1}, {101, 1}});
  host.reset();
  CHECK(agent.HungUp(0));  // the child, which still lives, has let go of its parent's connection
  CHECK_FALSE(agent.HungUp(1));
  REQUIRE(write(go[1], "x", 1) == 1);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(agent.HungUp(1));
  for (int fd : {result[0], result[1], go[0], go[1]}) close(fd);
}

TEST_CASE("fork: opened before, used only by children, and by their children", "[handoff]") {
  Place place;
  Host host(place.socket());  // no agent yet: as a proxy's master process
  RingAgent agent(place.socket());
  pid_t children[3];
  for (int n = 0; n < 3; ++n) {
    children[n] = fork();
    if (children[n] != 0) continue;
    spantap_context root;
    int bad = ChildsPart(&host, &root);
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(ChildsPart(&host, &root));
    int status = 0;
    waitpid(grandchild, &status, 0);
    bad |= WIFEXITED(status) ? WEXITSTATUS(status) : 64;
    _exit(bad);
  }
  for (int i = 0; i < 5000 && agent.PeekRecords().size() < 12; ++i) {
    agent.Serve();
    usleep(1000);
  }
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  CHECK(agent.producers() == 6);
  CHECK(agent.Take().size() == 12);
  CHECK(host.Stats().handed_off == 0);
}

TEST_CASE("threads: each with its producer, a reader beside them, nothing lost that was not counted", "[handoff]") {
  constexpr int kThreads = 2;
  constexpr uint64_t kSpans = 20000;
  Place place;
  RingAgent agent(place.socket());
  spantap_options options = SPANTAP_OPTIONS_INIT;
  options.socket = Str(place.socket());
  options.mode = SPANTAP_MODE_HANDOFF;
  spantap_client* client = nullptr;
  REQUIRE(spantap_open(&options, &client) == SPANTAP_OK);
  std::atomic<uint64_t> handed_off{0}, full{0}, running{kThreads};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      spantap_producer* producer = nullptr;
      spantap_stats stats = SPANTAP_STATS_INIT;
      if (spantap_producer_open(client, &producer) == SPANTAP_OK) {
        for (int i = 0; i < 3000 && spantap_attach(producer) != SPANTAP_OK; ++i) usleep(1000);
        for (uint64_t number = 0; number < kSpans; ++number) {
          spantap_span span = MakeSpan(number);
          span.context.trace_id[0] = static_cast<uint8_t>(t);
          spantap_submit(producer, &span);
        }
        spantap_flush(producer, 2000);
        spantap_stats_get(producer, &stats);
        handed_off += stats.handed_off;
        full += stats.dropped_full;
        spantap_producer_close(producer);
      }
      --running;
    });
  }
  uint64_t taken = 0, disorder = 0;
  uint64_t next[kThreads] = {};
  const auto take = [&] {
    for (const TakenSpan& span : agent.Take()) {
      uint64_t* expected = &next[span.fixed.trace_id[0]];
      disorder += NumberOf(span.fixed) < *expected;
      *expected = NumberOf(span.fixed) + 1;
      ++taken;
    }
  };
  while (running != 0) {
    agent.Serve();
    take();
  }
  for (std::thread& thread : threads) thread.join();
  take();
  spantap_close(client);
  CHECK(handed_off + full == kThreads * kSpans);
  CHECK(taken == handed_off);
  CHECK(taken > 1000);
  CHECK(disorder == 0);
}

}  // namespace
}  // namespace spantap
