// SPDX-License-Identifier: Apache-2.0
//
// The ring under ThreadSanitizer itself, on real cores: spantap_submit() in one thread and RingReader in another, with
// random pauses and turns, through one mapping (the sanitizer knows memory by its address). README.md says how to build
// it.
//
//     tsan_ring SECONDS SEED      prints spans and drops; exits 1 at a race, a lost, doubled or torn span
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "agent/handoff/ring_reader.h"
#define _Alignas alignas
extern "C" {
#include "exporter/handoff/producer.h"
}

namespace spantap {
namespace {

constexpr uint64_t kDataBytes = 2048;
constexpr int kMaxName = 300;

struct alignas(4096) Memory {
  char bytes[SPANTAP_RING_HEADER_BYTES + kDataBytes];
};
Memory memory;
std::atomic<bool> ended{false};

[[noreturn]] void Die(const char* what) {
  fprintf(stderr, "tsan_ring: %s\n", what);
  exit(1);
}

void Pause(std::mt19937& dice) {
  switch (dice() % 16) {
    case 0:
      sched_yield();
      break;
    case 1:
      for (unsigned spin = dice() % 400; spin > 0; --spin) __asm__ volatile("" ::: "memory");
      break;
    case 2:
      if (dice() % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(dice() % 100));
      break;
    default:
      break;
  }
}

size_t NameBytes(uint64_t number) { return 1 + number * 2654435761u % kMaxName; }

uint64_t Produce(int seconds, unsigned seed, spantap_producer* producer) {
  std::mt19937 dice(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  char name[kMaxName];
  uint64_t number = 1, full = 0;
  producer->thread = handoff_thread();
  while (std::chrono::steady_clock::now() < end) {
    spantap_span span = SPANTAP_SPAN_INIT;
    span.kind = SPANTAP_SERVER;
    span.context.trace_id[0] = 1;
    memcpy(span.context.span_id, &number, sizeof(number));
    span.start_unix_ns = span.end_unix_ns = 1;
    memset(name, static_cast<int>('a' + number % 26), sizeof(name));
    span.name = {name, NameBytes(number)};
    const spantap_status status = spantap_submit(producer, &span);
    if (status == SPANTAP_OK) {
      ++number;
    } else if (status == SPANTAP_FULL) {
      ++full;
    } else {
      Die("neither handed off nor full");
    }
    Pause(dice);
  }
  if (producer->handed_off != number - 1 || producer->dropped.full != full) Die("the counters are wrong");
  printf("%llu spans, %llu times full\n", static_cast<unsigned long long>(number - 1),
         static_cast<unsigned long long>(full));
  return number - 1;
}

uint64_t Read(unsigned seed, RingReader* reader) {
  std::mt19937 dice(seed + 1);
  std::vector<char> scratch;
  uint64_t taken = 0;
  for (;;) {
    const bool last = ended.load();
    const RingReader::Turn turn = reader->Take(1 + dice() % 5, scratch, [&](absl::string_view record) {
      spantap_span_record fixed;
      memcpy(&fixed, record.data(), sizeof(fixed));
      uint64_t number = 0;
      memcpy(&number, fixed.span_id, sizeof(number));
      if (number != ++taken || fixed.name_bytes != NameBytes(number)) return false;
      for (size_t i = 0; i < fixed.name_bytes; ++i) {
        if (record[sizeof(fixed) + i] != static_cast<char>('a' + number % 26)) return false;
      }
      return true;
    });
    if (turn.lied) Die("a span is lost, twice, or torn");
    if (last && turn.left == 0) return taken;
    Pause(dice);
  }
}

}  // namespace
}  // namespace spantap

int main(int argc, char** argv) {
  using namespace spantap;
  const int seconds = argc > 1 ? atoi(argv[1]) : 10;
  const unsigned seed = argc > 2 ? static_cast<unsigned>(atoi(argv[2])) : 1;
  if (handoff_fork_prepare() != SPANTAP_OK) Die("no page for the fork word");
  auto* ring = reinterpret_cast<spantap_ring*>(memory.bytes);
  static spantap_client client = {};
  client.mode = SPANTAP_MODE_HANDOFF;
  static spantap_producer producer = {};
  producer.client = &client;
  producer.generation = handoff_fork_generation();
  producer.connection = producer.memory = -1;
  producer.state = HANDOFF_ATTACHED;
  producer.checked_unix_ns = 1;
  producer.due_ns = UINT64_MAX;  // nobody to be looked for
  producer.ring = {ring, reinterpret_cast<uint8_t*>(memory.bytes) + SPANTAP_RING_HEADER_BYTES, kDataBytes, 0, 0};
  RingReader reader(ring, kDataBytes);
  uint64_t taken = 0;
  std::thread reading([&] { taken = Read(seed, &reader); });
  const uint64_t made = Produce(seconds, seed, &producer);
  ended = true;
  reading.join();
  if (taken != made) Die("a span is lost");
}
