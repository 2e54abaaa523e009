// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/steps.h"

#include <algorithm>
#include <array>
#include <bit>

namespace spantap {
namespace {

constexpr uint64_t kGapLimitsUs[kGaps - 1] = {32, 64, 128, 256, 512, 1000, 2000, 4000, 8000, 16000, 64000};

// By the bits of a time: the bucket of the shortest with as many. At most one bucket ends before the longest.
constexpr std::array<uint8_t, 65> FirstBuckets() {
  std::array<uint8_t, 65> buckets = {};
  for (size_t bits = 1; bits < buckets.size(); ++bits) {
    for (const uint64_t limit : kGapLimitsUs) buckets[bits] += limit * 1000 <= 1ull << (bits - 1);
  }
  return buckets;
}
constexpr std::array<uint8_t, 65> kFirstBuckets = FirstBuckets();

constexpr uint8_t kHandOffGap = 6;  // below 2 ms

// Counters wrap; what is behind counts as nothing.
uint32_t Ahead(uint32_t to, uint32_t from) {
  const auto ahead = static_cast<int32_t>(to - from);
  return ahead > 0 ? static_cast<uint32_t>(ahead) : 0;
}

uint8_t UpToTwo(uint32_t n) { return static_cast<uint8_t>(std::min(n, 2u)); }

}  // namespace

uint8_t GapBucket(uint64_t ns) {
  const uint8_t bucket = kFirstBuckets[std::bit_width(ns)];
  return bucket + (bucket + 1u < kGaps && ns >= kGapLimitsUs[bucket] * 1000);
}

uint64_t GapLimitNs(size_t gap) { return gap + 1 >= kGaps ? UINT64_MAX : kGapLimitsUs[gap] * 1000; }

uint8_t GapBand(uint8_t gap) { return gap <= 5 ? 0 : gap <= 8 ? 1 : 2; }

Sight See(const Moment& from, const Moment& to, uint32_t home, uint8_t hop) {
  Sight sight;
  sight.gap = GapBucket(to.ns > from.ns ? to.ns - from.ns : from.tid != to.tid ? from.ns - to.ns : 0);
  if (from.tid != to.tid) {
    sight.nearness = to.tid == home ? kHomeThread : kOtherThread;
    return sight;
  }
  if (!from.counted || !to.counted || from.burst != to.burst) {
    sight.nearness = kSlept;
    return sight;
  }
  const uint32_t turns = Ahead(to.turn, from.turn);
  const uint8_t between = UpToTwo(Ahead(to.reads, from.reads)) * 3 + UpToTwo(Ahead(to.writes, from.writes + 1));
  sight.hop = static_cast<uint8_t>(std::min<uint32_t>(turns, kHops - 1));
  if (hop != kAnyHop) {
    sight.nearness = sight.hop == hop ? between : 9;
  } else if (turns >= 8) {
    sight.nearness = 37;
  } else {
    sight.nearness = static_cast<uint8_t>(10 + 9 * (turns == 0 ? 0 : turns <= 2 ? 1 : 2) + between);
  }
  return sight;
}

bool MayBeImmediate(const Sight& sight) {
  if (sight.nearness < 37) return true;
  if (sight.nearness == kHomeThread || sight.nearness == kOtherThread) return sight.gap <= kHandOffGap;
  return sight.nearness == 37 && sight.gap <= 5;
}

}  // namespace spantap
