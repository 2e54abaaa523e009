// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: a producer that rewrites its ring while the agent reads it. The reader is the real one, compiled
// here with a hook before each of its atomic accesses and in the middle of each copy; at every hook the input says what
// the producer does: commit a good record, or overwrite head, counters, state, constants, a record's header or any
// bytes. So each interleaving is the input's alone, and a finding repeats.
//
// No input leads a read outside of the ring, which lies on the heap between red zones; a turn's work is bounded by what
// it was told, whatever head does meanwhile; what is taken for a span is sound; tail is written by the reader only.
// Corpus: tests/data/fuzz_handoff_ring.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "agent/handoff/record_to_span.h"
#include "agent/handoff/ring_reader.h"
#include "exporter/model/utf8.h"
#include "spantap/spantap.h"

namespace spantap::fuzz {

void Hook();

uint64_t HookedLoad(const uint64_t* at, int order) {
  Hook();
  return __atomic_load_n(at, order);
}
template <typename T>
void HookedStore(T* at, T value, int order) {
  Hook();
  __atomic_store_n(at, value, order);
  Hook();
}
// Words that change while they are copied.
void* HookedCopy(void* to, const void* from, size_t bytes) {
  const size_t half = bytes / 2;
  Hook();
  std::memcpy(to, from, half);
  Hook();
  std::memcpy(static_cast<char*>(to) + half, static_cast<const char*>(from) + half, bytes - half);
  Hook();
  return to;
}

}  // namespace spantap::fuzz

namespace std {
using spantap::fuzz::HookedCopy;
}
#define __atomic_load_n(at, order) ::spantap::fuzz::HookedLoad(at, order)
#define __atomic_store_n(at, value, order) ::spantap::fuzz::HookedStore(at, value, order)
#define memcpy HookedCopy
#include "agent/handoff/ring_reader.cc"  // NOLINT(bugprone-suspicious-include): the hooks are its macros
#undef memcpy
#undef __atomic_load_n
#undef __atomic_store_n

namespace spantap::fuzz {
namespace {

constexpr uint64_t kBytes = SPANTAP_RING_MIN_BYTES;
constexpr size_t kTurns = 24, kRecordsPerTurn = 7;
// Atomic accesses and copies, before and behind: what one record, and what one turn may cost in hooks.
constexpr size_t kHooksOfRecord = 4, kHooksOfTurn = 5;

void Require(bool good) {
  if (!good) std::abort();
}

// The input as the producer's will.
struct Will {
  const uint8_t* at;
  const uint8_t* end;
  uint8_t Byte() { return at == end ? 0 : *at++; }
  uint64_t Number(size_t bytes) {
    uint64_t number = 0;
    const size_t take = std::min<size_t>(bytes, static_cast<size_t>(end - at));
    std::memcpy(&number, at, take);
    at += take;
    return number;
  }
};

Will will;
spantap_ring* ring;
uint64_t head;  // where the producer would write
uint64_t reader_tail;
size_t hooks;

uint8_t* Data(uint64_t position) {
  return reinterpret_cast<uint8_t*>(ring) + SPANTAP_RING_HEADER_BYTES + (position & (kBytes - 1));
}
uint64_t ToEnd(uint64_t position) { return kBytes - (position & (kBytes - 1)); }

void PutHeader(uint64_t position, uint32_t bytes, uint16_t type) {
  const spantap_record record = {bytes, type, 0};
  std::memcpy(Data(position & ~uint64_t{7}), &record, sizeof(record));
}

void CommitRecord(size_t name_bytes) {
  spantap_span_record record = {};
  const uint32_t bytes = static_cast<uint32_t>((sizeof(record) + name_bytes + 7) / 8 * 8);
  if (ToEnd(head) < bytes) {
    PutHeader(head, static_cast<uint32_t>(ToEnd(head)), SPANTAP_RECORD_PAD);
    head += ToEnd(head);
  }
  record.record = {bytes, SPANTAP_RECORD_SPAN, 0};
  record.trace_id[0] = record.span_id[0] = 1;
  record.start_unix_ns = record.end_unix_ns = 1;
  record.kind = SPANTAP_SERVER;
  record.name_bytes = static_cast<uint16_t>(name_bytes);
  std::memcpy(Data(head), &record, sizeof(record));
  std::memset(Data(head) + sizeof(record), 'n', bytes - sizeof(record));
  head += bytes;
  __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
}

void OverwriteBytes() {
  const uint64_t offset = will.Number(3) % kBytes;
  const size_t bytes = std::min<size_t>({will.Byte(), static_cast<size_t>(will.end - will.at), kBytes - offset});
  std::memcpy(Data(offset), will.at, bytes);
  will.at += bytes;
}

void Act() {
  switch (will.Byte() % 12) {
    case 0:
    case 1:
    case 2:
      return CommitRecord(1 + will.Byte());
    case 3:
      return CommitRecord(1 + will.Number(2) % 60000);
    case 4:
      return __atomic_store_n(&ring->head, will.Number(8), __ATOMIC_RELEASE);
    case 5:  // near what is right
      head += (will.Number(2) & 0x3fff) * 8;
      return __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
    case 6:
      return PutHeader(will.Number(3), static_cast<uint32_t>(will.Number(4)), static_cast<uint16_t>(will.Byte()));
    case 7:  // of the record that is read now
      return PutHeader(reader_tail + will.Byte() * 8ull, static_cast<uint32_t>(will.Number(2)), will.Byte() % 4);
    case 8:
      ring->dropped_full = will.Number(8);
      ring->dropped_no_agent = will.Number(8);
      return;
    case 9:  // what only the agent may write
      ring->tail = will.Number(8);
      ring->state = will.Byte();
      ring->taken_full = will.Number(8);
      return;
    case 10:
      ring->data_bytes = will.Number(8);
      ring->header_bytes = static_cast<uint32_t>(will.Number(4));
      return;
    default:
      return OverwriteBytes();
  }
}

void CheckSpan(const Span& span, size_t record_bytes) {
  Require(span.trace_id.valid() && span.span_id.valid() && span.end_unix_ns >= span.start_unix_ns);
  Require(!span.name.empty() && ValidUtf8Prefix(span.name) == span.name.size());
  Require(span.attributes.count() <= RecordAttributes::kMaxAttributes && span.events.size() <= 128);
  Require(span.ApproximateBytes() <= 1000 + 8 * record_bytes);
}

void Run(const uint8_t* data, size_t size) {
  static auto& memory = *new std::vector<uint64_t>((SPANTAP_RING_HEADER_BYTES + kBytes) / sizeof(uint64_t));
  static auto& scratch = *new std::vector<char>();
  static auto& decoder = *new RecordDecoder();
  std::fill(memory.begin(), memory.end(), 0);
  ring = reinterpret_cast<spantap_ring*>(memory.data());
  will = {data, data + size};
  head = reader_tail = 0;
  RingReader reader(ring, kBytes);
  HandoffClaims claims;
  for (size_t turn = 0; turn < kTurns; ++turn) {
    hooks = 0;
    size_t records = 0;
    const RingReader::Turn done = reader.Take(kRecordsPerTurn, scratch, [&](absl::string_view record) {
      ++records;
      Require(record.size() <= RingReader::kMaxRecordBytes);
      const std::optional<Span> span = decoder.RecordToSpan(record, nullptr);
      if (span) CheckSpan(*span, record.size());
      return span.has_value();
    });
    Require(records <= kRecordsPerTurn && hooks <= kHooksOfTurn + kRecordsPerTurn * kHooksOfRecord);
    if (done.lied) return;
    Require(done.left <= done.waiting && done.waiting <= kBytes);
    reader_tail += done.waiting - done.left;
    const HandoffDrops drops = claims.Advance(*ring);
    Require(drops.full <= HandoffClaims::kMaxStep && drops.no_agent <= HandoffClaims::kMaxStep);
    reader.SetState(SPANTAP_RING_OPEN);
  }
}

}  // namespace

void Hook() {
  ++hooks;
  if (will.at == will.end) return;
  for (uint8_t acts = will.Byte() % 4; acts > 0; --acts) Act();
}

}  // namespace spantap::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spantap::fuzz::Run(data, size);
  return 0;
}
