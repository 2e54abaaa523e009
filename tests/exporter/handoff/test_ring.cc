// SPDX-License-Identifier: Apache-2.0
//
// The ring against a model, for all sizes and places; and a producer or an agent that dies before any of its
// instructions.
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <deque>
#include <optional>
#include <random>

#include "exporter/intake/ring_reader.h"
#include "ring_agent.h"
#include "tests/fakes/rounds.h"

namespace spantap {
namespace {

// A span whose size and content follow from its number.
class Made {
 public:
  explicit Made(uint64_t number, uint32_t seed) {
    std::mt19937_64 random(seed * 1000003ull + number);
    const size_t count = random() % 4 == 0 ? random() % 16 : random() % 3;
    for (size_t i = 0; i < count; ++i) {
      values.emplace_back(random() % 8 == 0 ? random() % 4097 : random() % 60, static_cast<char>('a' + random() % 26));
    }
    for (const std::string& value : values) {
      attrs.push_back({SPANTAP_KEY_URL_PATH, SPANTAP_STRING, 0, {nullptr, 0}, {Str(value)}});
      bytes += 8 + value.size();
    }
    bytes = (bytes + 7) / 8 * 8;
    span = MakeSpan(number);
    span.attrs = attrs.data();
    span.attr_count = static_cast<uint32_t>(attrs.size());
  }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;

  bool Equals(const TakenSpan& taken) const {
    if (NumberOf(taken.fixed) != NumberOfThis() || taken.name != "GET /" || taken.attrs.size() != values.size())
      return false;
    for (size_t i = 0; i < values.size(); ++i) {
      if (taken.attrs[i].text != values[i]) return false;
    }
    return true;
  }
  uint64_t NumberOfThis() const {
    uint64_t id;
    memcpy(&id, span.context.span_id, sizeof(id));
    return id - 1;
  }

  std::vector<std::string> values;
  std::vector<spantap_attr> attrs;
  spantap_span span;
  size_t bytes = 120 + 5;
};

// What the ring must do: exact to the byte.
struct Model {
  explicit Model(uint64_t start) : head(start) {}
  bool Push(uint64_t number, size_t bytes) {
    const uint64_t to_end = SPANTAP_RING_MIN_BYTES - head % SPANTAP_RING_MIN_BYTES;
    const uint64_t needed = bytes + (to_end < bytes ? to_end : 0);
    if (used + needed > SPANTAP_RING_MIN_BYTES) return false;
    waiting.emplace_back(number, needed);
    head += needed;
    used += needed;
    return true;
  }
  uint64_t head, used = 0;
  std::deque<std::pair<uint64_t, uint64_t>> waiting;
};

TEST_CASE("ring: equals its model for all sizes and places, over the end of data and of numbers", "[handoff]") {
  const uint64_t starts[] = {0, SPANTAP_RING_MIN_BYTES - 8, 0 - uint64_t{8} * SPANTAP_RING_MIN_BYTES, 0 - uint64_t{8}};
  uint32_t seed = 0;
  for (uint64_t start : starts) {
    Place place;
    RingAgent agent(place.socket());
    agent.start = start;
    Host host(place.socket());
    REQUIRE(host.Attach(&agent));
    Model model(start);
    std::mt19937 random(++seed);
    uint64_t full = 0;
    for (uint64_t number = 0; number < static_cast<uint64_t>(Rounds(8000)); ++number) {
      const Made made(number, seed);
      const bool fits = model.Push(number, made.bytes);
      REQUIRE(spantap_submit(host.producer, &made.span) == (fits ? SPANTAP_OK : SPANTAP_FULL));
      full += !fits;
      // Mostly a reader that lets the ring run full, then takes some.
      if (fits && random() % 64 != 0) continue;
      for (const TakenSpan& taken : agent.Take(random() % 300)) {
        REQUIRE(!model.waiting.empty());
        REQUIRE(Made(model.waiting.front().first, seed).Equals(taken));
        model.used -= model.waiting.front().second;
        model.waiting.pop_front();
      }
      // A pad that is skipped together with the record before it frees its room earlier than the model thinks.
      const spantap_ring* ring = agent.ring(0);
      REQUIRE(ring->head - ring->tail <= model.used);
      model.used = ring->head - ring->tail;
    }
    CHECK(full > 10);
    CHECK(host.Stats().dropped_full == full);
    CHECK(agent.ring(0)->dropped_full == full);
    CHECK(agent.Take().size() == model.waiting.size());
  }
}

// The child of the next test: attaches, stops, submits, stops, ends.
[[noreturn]] void Submitter(const std::string& socket, int spans) {
  ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  Host host(socket);
  for (int i = 0; spantap_attach(host.producer) != SPANTAP_OK; ++i) {
    if (i == 3000) _exit(3);
    usleep(1000);
  }
  std::deque<Made> made;
  alignas(8) char memory[SPANTAP_LIVE_SIZE];
  for (int i = 0; i < spans; ++i) made.emplace_back(i, 5);
  raise(SIGSTOP);
  for (const Made& one : made) spantap_submit(host.producer, &one.span);
  spantap_live* live = nullptr;
  const spantap_span last = MakeSpan(spans);
  spantap_begin(host.producer, memory, sizeof(memory), &last.context, nullptr, SPANTAP_SERVER, last.name, 1, &live);
  spantap_set_int(live, SPANTAP_KEY_SERVER_PORT, {nullptr, 0}, 80);
  spantap_end(live, 2);
  raise(SIGSTOP);
  _exit(0);
}

TEST_CASE("ring: before each instruction of a producer, what is committed is whole", "[handoff]") {
  constexpr int kSpans = 6;
  Place place;
  RingAgent agent(place.socket());
  agent.start = SPANTAP_RING_MIN_BYTES - 520;  // the third or so goes over the end
  const pid_t child = fork();
  if (child == 0) Submitter(place.socket(), kSpans);
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    agent.Serve();
    usleep(1000);
  }
  if (!WIFSTOPPED(status)) {
    WARN("no tracing of children here");
    return;
  }
  REQUIRE(WSTOPSIG(status) == SIGSTOP);
  std::vector<std::string> committed;
  uint64_t steps = 0;
  for (;; ++steps) {
    REQUIRE(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSTOPPED(status));
    if (WSTOPSIG(status) != SIGTRAP) break;  // the second SIGSTOP
    std::vector<std::string> now = agent.PeekRecords();
    REQUIRE(now.size() >= committed.size());
    REQUIRE(now.size() <= committed.size() + 1);
    if (now.size() > committed.size()) {
      const TakenSpan span = DecodeSpan(now.back());
      const bool as_made = committed.size() < kSpans && Made(committed.size(), 5).Equals(span);
      REQUIRE((as_made || committed.size() == kSpans));
      committed.push_back(now.back());
    }
    REQUIRE(now == committed);
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  CHECK(committed.size() == kSpans + 1);
  CHECK(steps > 500);
  CHECK(agent.Take().size() == kSpans + 1);
}

spantap_status SubmitMade(const Host& host, uint64_t number, uint32_t seed) {
  const Made made(number, seed);
  return spantap_submit(host.producer, &made.span);
}

// What the child of the next test has taken, in memory that its parent sees.
struct Taken {
  uint64_t count;
  uint64_t numbers[64];
};

[[noreturn]] void ReadStepByStep(spantap_ring* ring, Taken* taken) {
  ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  RingReader reader(ring, SPANTAP_RING_MIN_BYTES);
  std::vector<char> scratch(RingReader::kMaxRecordBytes);
  raise(SIGSTOP);
  for (RingReader::Turn turn = {0, 1, false}; turn.left != 0;) {
    turn = reader.Take(3, scratch, [taken](absl::string_view record) {
      spantap_span_record fixed;
      memcpy(&fixed, record.data(), sizeof(fixed));
      taken->numbers[taken->count] = NumberOf(fixed);
      taken->count = taken->count + 1;
      return true;
    });
  }
  raise(SIGSTOP);
  _exit(0);
}

// Numbers of the records that lie beyond tail.
std::vector<uint64_t> Beyond(const spantap_ring* ring) {
  std::vector<uint64_t> numbers;
  const char* data = reinterpret_cast<const char*>(ring) + SPANTAP_RING_HEADER_BYTES;
  for (uint64_t at = ring->tail; at != ring->head;) {
    spantap_span_record fixed;
    memcpy(&fixed.record, data + at % SPANTAP_RING_MIN_BYTES, sizeof(fixed.record));
    REQUIRE((fixed.record.bytes >= 8 && fixed.record.bytes <= ring->head - at));
    memcpy(&fixed, data + at % SPANTAP_RING_MIN_BYTES, std::min<size_t>(fixed.record.bytes, sizeof(fixed)));
    if (fixed.record.type == SPANTAP_RECORD_SPAN) numbers.push_back(NumberOf(fixed));
    at += fixed.record.bytes;
  }
  return numbers;
}

TEST_CASE("ring: before each instruction of the agent's reader, what it has not taken lies beyond tail", "[handoff]") {
  constexpr uint64_t kSpans = 9;
  Place place;
  RingAgent agent(place.socket());
  Host host(place.socket());
  REQUIRE(host.Attach(&agent));
  for (uint64_t n = 0; n < kSpans; ++n) REQUIRE(SubmitMade(host, n, 5) == SPANTAP_OK);
  auto* taken =
      static_cast<Taken*>(mmap(nullptr, sizeof(Taken), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(taken != MAP_FAILED);
  spantap_ring* ring = agent.ring(0);
  const pid_t child = fork();
  if (child == 0) ReadStepByStep(ring, taken);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (!WIFSTOPPED(status)) {
    WARN("no tracing of children here");
    return;
  }
  uint64_t steps = 0, tails = 0, last_tail = ring->tail;
  for (;; ++steps) {
    REQUIRE(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSTOPPED(status));
    if (WSTOPSIG(status) != SIGTRAP) break;
    // Dead now, its producer would move these to another agent: with what it had taken, nothing is missing.
    const std::vector<uint64_t> left = Beyond(ring);
    REQUIRE(left.size() + taken->count >= kSpans);
    for (size_t i = 0; i < left.size(); ++i) REQUIRE(left[i] == kSpans - left.size() + i);
    tails += ring->tail != last_tail;
    last_tail = ring->tail;
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  CHECK(taken->count == kSpans);
  for (uint64_t n = 0; n < kSpans; ++n) CHECK(taken->numbers[n] == n);
  CHECK(ring->tail == ring->head);
  CHECK(tails == 3);
  CHECK(steps > 300);
  munmap(taken, sizeof(Taken));
}

TEST_CASE("ring: an agent killed at a random moment: its producer moves the rest, none is lost, none twice",
          "[handoff]") {
  std::mt19937 random(13);
  for (int trial = 0; trial < Rounds(5); ++trial) {
    Place place;
    std::optional<RingAgent> agent(std::in_place, place.socket());
    Host host(place.socket());
    REQUIRE(host.Attach(&*agent));
    uint64_t made = 0;
    while (SubmitMade(host, made, 9) == SPANTAP_OK) ++made;
    // The reader is another process, which dies; what it had taken is known by its tail.
    spantap_ring* ring = agent->ring(0);
    const pid_t child = fork();
    if (child == 0) {
      RingReader reader(ring, SPANTAP_RING_MIN_BYTES);
      std::vector<char> scratch;
      for (;;) reader.Take(1, scratch, [](absl::string_view) { return true; });
    }
    usleep(random() % 3000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const std::vector<uint64_t> left = Beyond(ring);
    agent.reset();
    agent.emplace(place.socket());
    usleep(110000);
    REQUIRE(host.Attach(&*agent));
    const std::vector<TakenSpan> moved = agent->Take();
    REQUIRE(moved.size() == left.size());
    for (size_t i = 0; i < moved.size(); ++i) {
      REQUIRE(NumberOf(moved[i].fixed) == made - left.size() + i);
      REQUIRE(Made(NumberOf(moved[i].fixed), 9).Equals(moved[i]));
    }
    CHECK(host.Stats().handed_off == made);
  }
}

TEST_CASE("ring: a producer killed at a random moment leaves whole records, all that it counted", "[handoff]") {
  std::mt19937 random(11);
  size_t total = 0;
  for (int trial = 0; trial < Rounds(20); ++trial) {
    Place place;
    RingAgent agent(place.socket());
    const pid_t child = fork();
    if (child == 0) {
      Host host(place.socket());
      for (uint64_t number = 0;;) {
        const Made made(number, 7);
        number += spantap_submit(host.producer, &made.span) == SPANTAP_OK;
      }
    }
    uint64_t expected = 0;
    const auto check = [&] {
      for (const TakenSpan& span : agent.Take()) REQUIRE(Made(expected++, 7).Equals(span));
    };
    for (int i = 0; i < 3000 && (agent.producers() == 0 || agent.PeekRecords().empty()); ++i) {
      agent.Serve();
      usleep(1000);
    }
    for (unsigned i = random() % 20; i > 0; --i) check();
    usleep(random() % 500);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    check();
    CHECK(agent.HungUp(0));
    total += expected;
  }
  CHECK(total > 1000);
}

}  // namespace
}  // namespace spantap
