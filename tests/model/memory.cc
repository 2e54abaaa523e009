// SPDX-License-Identifier: Apache-2.0
#include "tests/model/memory.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace spantap::model {
namespace {

constexpr int kRelaxed = 0, kAcquire = 2, kRelease = 3, kSeqCst = 5;  // as the compiler passes them

const char* Name(uint64_t offset) {
  switch (offset) {
    case offsetof(spantap_ring, head):
      return "head";
    case offsetof(spantap_ring, tail):
      return "tail";
    case offsetof(spantap_ring, state):
      return "state";
    default:
      return offset < sizeof(spantap_ring) ? "counter" : "data";
  }
}

std::string Described(const char* what, int ring, uint64_t offset, uint64_t value) {
  char text[96];
  snprintf(text, sizeof(text), "%s %s of ring %d: %llu", what, Name(offset), ring,
           static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

Memory& TheMemory() {
  static Memory& memory = *new Memory();
  return memory;
}

void Memory::Reset(Weakened weakened) {
  weakened_ = weakened;
  for (int i = 0; i < kMaxThreads; ++i) {
    clocks_[i].fill(0);
    clocks_[i][i] = 1;
  }
  for (int i = 0; i < kRings; ++i) {
    mapped_[i] = false;
    memset(memory_[i].bytes, 0, sizeof(memory_[i].bytes));
    spantap_ring* ring = reinterpret_cast<spantap_ring*>(memory_[i].bytes);
    ring->magic = SPANTAP_RING_MAGIC;
    ring->version = SPANTAP_HANDOFF_VERSION;
    ring->header_bytes = SPANTAP_RING_HEADER_BYTES;
    ring->data_bytes = kDataBytes;
    for (Place& place : places_[i]) place.count = 0;
    for (Word& word : words_[i]) word = Word{-1, 0, {}};
  }
}

spantap_ring* Memory::ring(int index) { return reinterpret_cast<spantap_ring*>(memory_[index].bytes); }

int Memory::RingOf(const void* address) const {
  const auto at = reinterpret_cast<uintptr_t>(address), begin = reinterpret_cast<uintptr_t>(memory_);
  return at >= begin && at < begin + sizeof(memory_) ? static_cast<int>((at - begin) / sizeof(Bytes)) : -1;
}

void Memory::Release(Clock* object) {
  const int thread = TheExplorer().thread();
  for (int i = 0; i < kMaxThreads; ++i) (*object)[i] = std::max((*object)[i], clocks_[thread][i]);
  ++clocks_[thread][thread];
}

void Memory::Acquire(const Clock& object) {
  Clock& own = clocks_[TheExplorer().thread()];
  for (int i = 0; i < kMaxThreads; ++i) own[i] = std::max(own[i], object[i]);
}

// ---------------------------------------------------------------- plain accesses

void Memory::PlainWord(Word& word, bool writes, uint64_t offset) {
  const int thread = TheExplorer().thread();
  bool ordered = Ordered(word.writer, word.written, thread);
  for (int other = 0; writes && other < kMaxThreads; ++other)
    ordered = ordered && Ordered(other, word.read[other], thread);
  if (!ordered) {
    char text[64];
    snprintf(text, sizeof(text), "a data race of thread %d at byte %llu", thread,
             static_cast<unsigned long long>(offset));
    TheExplorer().Fail(text);
  }
  if (writes) {
    word.writer = thread;
    word.written = clocks_[thread][thread];
  } else {
    word.read[thread] = clocks_[thread][thread];
  }
}

void Memory::Plain(const void* address, size_t bytes, bool writes) {
  const int ring = RingOf(address);
  if (ring < 0 || bytes == 0 || TheExplorer().thread() < 0) return;
  const uint64_t offset = static_cast<uint64_t>(static_cast<const unsigned char*>(address) - memory_[ring].bytes);
  if (offset + bytes > sizeof(Bytes)) return TheExplorer().Fail("an access behind the end of the ring");
  if (TheExplorer().thread() == kProducerThread && !mapped_[ring])
    return TheExplorer().Fail("a ring that is not mapped");
  for (uint64_t word = offset / 8; word <= (offset + bytes - 1) / 8; ++word) {
    PlainWord(words_[ring][word], writes, word * 8);
  }
}

// ---------------------------------------------------------------- atomic accesses

// The oldest value that `thread` may still see: coherence, and what happens before it.
size_t Memory::Oldest(const Place& place, int thread) const {
  size_t oldest = place.seen[thread];
  for (size_t i = place.count; i-- > oldest + 1;) {
    if (Ordered(place.values[i].thread, place.values[i].epoch, thread)) return i;
  }
  return oldest;
}

uint64_t Memory::Load(const void* address, size_t bytes, int order) {
  uint64_t value = 0;
  memcpy(&value, address, bytes);
  const int ring = RingOf(address);
  Explorer& explorer = TheExplorer();
  if (ring < 0 || explorer.thread() < 0) return value;
  const uint64_t offset = static_cast<uint64_t>(static_cast<const unsigned char*>(address) - memory_[ring].bytes);
  if (offset >= sizeof(spantap_ring)) {  // a record's header: written plainly
    Plain(address, bytes, false);
    return value;
  }
  if (explorer.thread() == kProducerThread && !mapped_[ring]) explorer.Fail("a ring that is not mapped");
  explorer.Before({reinterpret_cast<uintptr_t>(address), false});
  Place& place = PlaceOf(ring, offset);
  if (place.count == 0) return value;  // nobody has stored yet: as it was made
  const int thread = explorer.thread();
  const size_t oldest = Oldest(place, thread);
  const size_t index = place.count - 1 - static_cast<size_t>(explorer.Choose(static_cast<int>(place.count - oldest)));
  const Value& seen = place.values[index];
  place.seen[thread] = index;
  const bool head = offset == offsetof(spantap_ring, head), tail = offset == offsetof(spantap_ring, tail);
  const bool weak = (head && weakened_ == Weakened::kHeadLoad) || (tail && weakened_ == Weakened::kTailLoad);
  if (seen.releases && !weak && order >= kAcquire && order != kRelease) Acquire(seen.clock);
  explorer.Note(Described("loads", ring, offset, seen.value));
  return seen.value;
}

void Memory::Store(void* address, size_t bytes, uint64_t value, int order) {
  const int ring = RingOf(address);
  Explorer& explorer = TheExplorer();
  if (ring < 0 || explorer.thread() < 0) {
    memcpy(address, &value, bytes);
    return;
  }
  const uint64_t offset = static_cast<uint64_t>(static_cast<const unsigned char*>(address) - memory_[ring].bytes);
  if (explorer.thread() == kProducerThread && !mapped_[ring]) explorer.Fail("a ring that is not mapped");
  if (offset >= sizeof(spantap_ring)) explorer.Fail("an atomic store into the data");
  explorer.Before({reinterpret_cast<uintptr_t>(address), true});
  const int thread = explorer.thread();
  Place& place = PlaceOf(ring, offset);
  if (place.count == 0) {  // what it was made with is before everything
    uint64_t first = 0;
    memcpy(&first, address, bytes);
    place.values[place.count++] = Value{first, -1, 0, false, {}};
    place.seen.fill(0);
  }
  if (place.count == kMaxValues) return explorer.Fail("too many values for the model");
  const bool head = offset == offsetof(spantap_ring, head), tail = offset == offsetof(spantap_ring, tail);
  const bool weak = (head && weakened_ == Weakened::kHeadStore) || (tail && weakened_ == Weakened::kTailStore);
  Value stored = {value, thread, clocks_[thread][thread], !weak && order >= kRelease, clocks_[thread]};
  place.values[place.count++] = stored;
  place.seen[thread] = place.count - 1;
  ++clocks_[thread][thread];
  memcpy(address, &value, bytes);
  explorer.Note(Described("stores", ring, offset, value));
  // Positions as any observer that misses nothing has them.
  const spantap_ring* shared = this->ring(ring);
  if (shared->head - shared->tail > kDataBytes) explorer.Fail("tail is past head, or head laps tail");
}

}  // namespace spantap::model

// ---------------------------------------------------------------- what the compiler calls (its own names)

using spantap::model::TheMemory;
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

#define SPANTAP_PLAIN(name, bytes)                                                    \
  void __tsan_read##name(void* at) { TheMemory().Plain(at, bytes, false); }           \
  void __tsan_write##name(void* at) { TheMemory().Plain(at, bytes, true); }           \
  void __tsan_unaligned_read##name(void* at) { TheMemory().Plain(at, bytes, false); } \
  void __tsan_unaligned_write##name(void* at) { TheMemory().Plain(at, bytes, true); } \
  void __tsan_read_write##name(void* at) { TheMemory().Plain(at, bytes, true); }
SPANTAP_PLAIN(1, 1)
SPANTAP_PLAIN(2, 2)
SPANTAP_PLAIN(4, 4)
SPANTAP_PLAIN(8, 8)
SPANTAP_PLAIN(16, 16)

uint32_t __tsan_atomic32_load(const void* at, int order) {
  return static_cast<uint32_t>(TheMemory().Load(at, 4, order));
}
uint64_t __tsan_atomic64_load(const void* at, int order) { return TheMemory().Load(at, 8, order); }
void __tsan_atomic32_store(void* at, uint32_t value, int order) { TheMemory().Store(at, 4, value, order); }
void __tsan_atomic64_store(void* at, uint64_t value, int order) { TheMemory().Store(at, 8, value, order); }

// Read-modify-write is used outside of rings only, where there is one thread.
uint32_t __tsan_atomic32_fetch_add(uint32_t* at, uint32_t value, int) { return (*at += value) - value; }
uint64_t __tsan_atomic64_fetch_add(uint64_t* at, uint64_t value, int) { return (*at += value) - value; }
uint32_t __tsan_atomic32_fetch_sub(uint32_t* at, uint32_t value, int) { return (*at -= value) + value; }
uint32_t __tsan_atomic32_exchange(uint32_t* at, uint32_t value, int) {
  const uint32_t old = *at;
  *at = value;
  return old;
}
int __tsan_atomic64_compare_exchange_strong(uint64_t* at, uint64_t* expected, uint64_t value, int, int) {
  const bool same = *at == *expected;
  (same ? *at : *expected) = same ? value : *at;
  return same;
}
uint64_t __tsan_atomic64_compare_exchange_val(uint64_t* at, uint64_t expected, uint64_t value, int, int) {
  const uint64_t old = *at;
  if (old == expected) *at = value;
  return old;
}

void* model_memcpy(void* to, const void* from, size_t bytes) {
  TheMemory().Plain(from, bytes, false);
  TheMemory().Plain(to, bytes, true);
  return memcpy(to, from, bytes);
}
void* model_memset(void* to, int value, size_t bytes) {
  TheMemory().Plain(to, bytes, true);
  return memset(to, value, bytes);
}
}
// NOLINTEND(bugprone-reserved-identifier)
