// SPDX-License-Identifier: Apache-2.0
//
// Rings that are right, rings that lie, and a ring that somebody rewrites while it is read.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <random>
#include <thread>

#include "exporter/intake/record_to_span.h"
#include "exporter/intake/ring_memory.h"
#include "exporter/intake/ring_reader.h"
#include "tests/exporter/intake/record_maker.h"
#include "tests/exporter/intake/ring_writer.h"

namespace spantap::handoff_test {
namespace {

struct Rig {
  RingMemory memory{SPANTAP_RING_MIN_BYTES};
  RingReader reader{memory.ring(), memory.data_bytes()};
  RingWriter writer{memory.ring(), memory.data_bytes()};
  RecordDecoder decoder;
  std::vector<char> scratch;
  std::vector<uint64_t> numbers;  // of the spans taken

  RingReader::Turn Take(size_t max = 1000) {
    return reader.Take(max, scratch, [this](absl::string_view record) {
      const std::optional<Span> span = decoder.RecordToSpan(record, nullptr);
      if (!span) return false;
      uint64_t number = 0;
      std::memcpy(&number, span->span_id.bytes.data(), sizeof(number));
      numbers.push_back(number);
      return true;
    });
  }
};

std::string Sized(uint64_t number, size_t bytes) {
  RecordMaker maker(number);
  maker.name.assign(bytes > 200 ? bytes - 160 : 1, 'n');
  return maker.Make();
}

TEST_CASE("ring memory: sealed, of the right size, filled with pages", "[handoff]") {
  RingMemory memory(SPANTAP_RING_MIN_BYTES);
  REQUIRE(memory.valid());
  CHECK((fcntl(memory.fd(), F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) ==
        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
  CHECK(ftruncate(memory.fd(), 0) != 0);
  CHECK(lseek(memory.fd(), 0, SEEK_END) == SPANTAP_RING_HEADER_BYTES + SPANTAP_RING_MIN_BYTES);
  CHECK(memory.ring()->magic == SPANTAP_RING_MAGIC);
  CHECK(memory.ring()->data_bytes == SPANTAP_RING_MIN_BYTES);
  std::vector<unsigned char> pages((SPANTAP_RING_HEADER_BYTES + SPANTAP_RING_MIN_BYTES) / 4096);
  REQUIRE(mincore(memory.ring(), SPANTAP_RING_HEADER_BYTES + SPANTAP_RING_MIN_BYTES, pages.data()) == 0);
  for (const unsigned char page : pages) CHECK((page & 1));
  memory.CloseFd();
  CHECK(memory.ring()->version == SPANTAP_HANDOFF_VERSION);
}

TEST_CASE("ring: records of all sizes, many times around, in order, whole", "[handoff]") {
  Rig rig;
  std::mt19937 dice(1);
  uint64_t written = 0;
  while (rig.writer.head() < 20 * rig.writer.data_bytes()) {
    while (dice() % 8 != 0 && rig.writer.Write(Sized(written + 1, dice() % 3000))) ++written;
    const RingReader::Turn turn = rig.Take(dice() % 20);
    REQUIRE_FALSE(turn.lied);
    CHECK(turn.left == rig.writer.head() - rig.memory.ring()->tail);
  }
  while (rig.Take().left != 0) {
  }
  REQUIRE(rig.numbers.size() == written);
  for (uint64_t i = 0; i < written; ++i) REQUIRE(rig.numbers[i] == i + 1);
}

TEST_CASE("ring: the largest record, and a full ring", "[handoff]") {
  Rig rig;
  RecordMaker maker;
  while (maker.Make().size() + 4200 <= RingReader::kMaxRecordBytes) {
    maker.With(Named("a" + std::to_string(maker.fixed.attr_count), std::string(4096, 'v')));
  }
  maker.name.resize(maker.name.size() + RingReader::kMaxRecordBytes - maker.Make().size(), 'n');
  REQUIRE(maker.Make().size() == RingReader::kMaxRecordBytes);
  for (int i = 0; i < 10; ++i) {
    while (rig.writer.Write(maker.Make())) {
    }
    REQUIRE_FALSE(rig.Take().lied);
  }
  CHECK(rig.numbers.size() >= 10);
}

TEST_CASE("ring: a turn is bounded", "[handoff]") {
  Rig rig;
  for (uint64_t i = 0; i < 100; ++i) REQUIRE(rig.writer.Write(Sized(i + 1, 0)));
  const RingReader::Turn turn = rig.Take(30);
  CHECK(rig.numbers.size() == 30);
  CHECK(turn.waiting - turn.left == rig.memory.ring()->tail);
  CHECK(rig.Take(1000).left == 0);
  CHECK(rig.numbers.size() == 100);
}

TEST_CASE("ring: lies are seen, and nothing is read outside", "[handoff]") {
  const std::string good = RecordMaker().Make();
  struct Row {
    const char* what;
    uint32_t bytes;
    uint16_t type;
    uint64_t head;
  };
  const auto size = static_cast<uint32_t>(good.size());
  const Row rows[] = {
      {"head too far", size, SPANTAP_RECORD_SPAN, SPANTAP_RING_MIN_BYTES + 8},
      {"head before tail", size, SPANTAP_RECORD_SPAN, UINT64_MAX - 7},
      {"head not aligned", size, SPANTAP_RECORD_SPAN, size + 1},
      {"length 0", 0, SPANTAP_RECORD_SPAN, size},
      {"length 4", 4, SPANTAP_RECORD_SPAN, size},
      {"length not aligned", size - 1, SPANTAP_RECORD_SPAN, size},
      {"length beyond head", size + 8, SPANTAP_RECORD_SPAN, size},
      {"length 4 GiB", 0xfffffff8, SPANTAP_RECORD_SPAN, SPANTAP_RING_MIN_BYTES},
      {"longer than a record may be", RingReader::kMaxRecordBytes + 8, SPANTAP_RECORD_SPAN, SPANTAP_RING_MIN_BYTES},
      {"unknown type", size, 3, size},
      {"type 0", size, 0, size},
      {"pad that does not reach the end", size, SPANTAP_RECORD_PAD, size},
      {"a record that is none", sizeof(spantap_record), SPANTAP_RECORD_SPAN, sizeof(spantap_record)},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    Rig rig;
    const spantap_record header = {row.bytes, row.type, 0};
    rig.writer.Put(BytesOf(header) + good.substr(sizeof(header)));
    rig.writer.Publish(row.head);
    const RingReader::Turn turn = rig.Take();
    CHECK(turn.lied);
    CHECK(rig.numbers.empty());
    CHECK(rig.memory.ring()->tail == 0);
  }
}

TEST_CASE("ring: tail and sizes are the reader's own, whatever is written there", "[handoff]") {
  Rig rig;
  REQUIRE(rig.writer.Write(Sized(1, 0)));
  rig.memory.ring()->data_bytes = 1;
  rig.memory.ring()->header_bytes = 77;
  CHECK_FALSE(rig.Take().lied);
  rig.memory.ring()->tail = 12345;
  CHECK(rig.Take().left == 0);
  CHECK(rig.numbers.size() == 1);
}

TEST_CASE("ring: claims of drops only grow, and not by any amount", "[handoff]") {
  Rig rig;
  HandoffClaims claims;
  spantap_ring& ring = *rig.memory.ring();
  ring.dropped_full = 5;
  ring.dropped_no_agent = 7;
  HandoffDrops drops = claims.Advance(ring);
  CHECK((drops.full == 5 && drops.no_agent == 7 && drops.invalid == 0 && drops.too_large == 0));
  CHECK(claims.Advance(ring).full == 0);
  ring.dropped_full = 3;
  CHECK(claims.Advance(ring).full == 0);
  ring.dropped_full = 6;
  CHECK(claims.Advance(ring).full == 1);
  ring.dropped_full = UINT64_MAX;
  CHECK(claims.Advance(ring).full == HandoffClaims::kMaxStep);
  CHECK(claims.Advance(ring).full == 0);
}

// Writes all over a ring, header page included, in pieces that are often nearly right.
void Ravage(const RingMemory& memory, std::mt19937& dice) {
  const std::string good = Sized(1, 300);
  const RingWriter writer(memory.ring(), memory.data_bytes());
  for (uint64_t i = 0; i < 300; ++i) {
    const uint64_t at = dice() % (memory.data_bytes() - good.size()) / 8 * 8;
    const auto word = static_cast<uint64_t>(dice()) << 32 | dice();
    if (dice() % 2) std::memcpy(writer.data() + (i * good.size()) % (128 * good.size()), good.data(), good.size());
    if (dice() % 4 == 0) std::memcpy(writer.data() + at, &word, sizeof(word));
    if (dice() % 8 == 0) std::memcpy(writer.data() + at % 4096, good.data() + dice() % 64, 64);
    writer.Publish(dice() % 16 == 0 ? word : (i + 1) * good.size());
    if (dice() % 64 == 0) std::memset(memory.ring(), static_cast<int>(dice()), sizeof(spantap_ring));
  }
}

TEST_CASE("ring: rewritten while it is read", "[handoff]") {
  constexpr int kRings = 400;
  std::atomic<const RingMemory*> victim{nullptr};
  std::atomic<bool> done{false};
  std::thread hostile([&] {
    std::mt19937 dice(3);
    while (!done.load()) {
      const RingMemory* const memory = victim.load();
      if (memory == nullptr) {
        std::this_thread::yield();
        continue;
      }
      Ravage(*memory, dice);
      victim.store(nullptr);
    }
  });
  int lied = 0;
  size_t taken = 0;
  for (int i = 0; i < kRings; ++i) {
    Rig rig;
    victim.store(&rig.memory);
    bool quiet = false, lies = false;
    while (!quiet && !lies) {  // one look after the last write, too
      quiet = victim.load() == nullptr;
      lies = rig.Take(64).lied;
    }
    while (victim.load() != nullptr) std::this_thread::yield();
    lied += lies;
    taken += rig.numbers.size();
  }
  done.store(true);
  hostile.join();
  CHECK(lied > 0);
  CHECK(taken > 0);
}

}  // namespace
}  // namespace spantap::handoff_test
