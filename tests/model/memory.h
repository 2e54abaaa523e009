// SPDX-License-Identifier: Apache-2.0
//
// The memory that threads share, as C11 has it. The code under test is compiled with -fsanitize=thread and linked with
// memory.cc instead of the sanitizer's own library: each of its accesses comes here, as it is in the program that
// ships.
//
// Atomic places keep all their values of a run; a load may see any of them that coherence and happens-before allow, the
// explorer tries each. Acquire that sees release orders the two threads. Plain accesses are checked to be ordered.
// Stronger than C11 in one thing: no load sees a value that is stored later in time (no hardware that runs this
// reorders a store before an earlier load of the same thread unless the order is missing, and that shows as a race).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "exporter/handoff/ring_layout.h"
#include "tests/model/explorer.h"

namespace spantap::model {

using Clock = std::array<uint32_t, kMaxThreads>;

constexpr int kRings = 4;
constexpr uint64_t kDataBytes = 512;  // a ring's; far below what an agent gives, so that it is full and wraps soon

// An order that is left out: what a mutation of the memory order does.
enum class Weakened { kNothing, kHeadStore, kHeadLoad, kTailStore, kTailLoad };

class Memory {
 public:
  // Forgets all.
  void Reset(Weakened weakened);
  spantap_ring* ring(int index);
  void Map(int index, bool mapped) { mapped_[index] = mapped; }
  int RingOf(const void* address) const;  // -1: none

  // System calls order threads, too: what a thread did before it released is before what others do once they acquired.
  void Release(Clock* object);
  void Acquire(const Clock& object);

  // ---- what the instrumented code does
  void Plain(const void* address, size_t bytes, bool writes);
  uint64_t Load(const void* address, size_t bytes, int order);
  void Store(void* address, size_t bytes, uint64_t value, int order);

 private:
  struct Value {
    uint64_t value;
    int thread;
    uint32_t epoch;
    bool releases;
    Clock clock;
  };
  static constexpr size_t kMaxValues = 48;
  struct Place {
    Value values[kMaxValues];
    size_t count;
    std::array<size_t, kMaxThreads> seen;
  };
  struct Word {
    int writer;
    uint32_t written;
    Clock read;
  };
  static constexpr size_t kPlaces = sizeof(spantap_ring) / 4;
  static constexpr size_t kWords = (SPANTAP_RING_HEADER_BYTES + kDataBytes) / 8;

  size_t Oldest(const Place& place, int thread) const;
  bool Ordered(int writer, uint32_t epoch, int thread) const {
    return writer < 0 || writer == thread || epoch <= clocks_[thread][writer];
  }
  void PlainWord(Word& word, bool writes, uint64_t offset);
  Place& PlaceOf(int ring, uint64_t offset) { return places_[ring][offset / 4]; }

  struct alignas(4096) Bytes {
    unsigned char bytes[SPANTAP_RING_HEADER_BYTES + kDataBytes];
  };
  Bytes memory_[kRings];
  bool mapped_[kRings];
  Place places_[kRings][kPlaces];
  Word words_[kRings][kWords];
  Clock clocks_[kMaxThreads];
  Weakened weakened_ = Weakened::kNothing;
};

Memory& TheMemory();
// The thread that may not touch a ring that is not mapped.
constexpr int kProducerThread = 0;

}  // namespace spantap::model
