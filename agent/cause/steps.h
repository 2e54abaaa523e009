// SPDX-License-Identifier: Apache-2.0
//
// A step of a handler: from the last thing it is known to have done (read its request, sent a call, read an answer) to
// the next thing it did (sent a call, replied). What can be seen of a step is a Sight: how much time passed, and how
// the two stand to each other on their threads. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "agent/cause/events.h"

namespace spantap {

// What a handler did last. With a call's label it makes the left side of a context (odds.h).
enum class Last : uint8_t { kRequest, kCall, kAnswer };

inline constexpr size_t kGaps = 12;     // buckets of time: below 32 us, then doubling, the last from 64 ms on
inline constexpr size_t kGapBands = 3;  // coarser
inline constexpr uint8_t kAnyHop = 0xff;
inline constexpr size_t kHops = 9;  // turns of the loop from a step's begin to its end: 0 to 7, more

// How the ends of a step stand to each other.
//   0..8    same thread, no sleep, as many turns as this step always takes; heads read and written between: 0, 1, more
//   9       same thread, no sleep, another number of turns than it always takes
//   10..36  same thread, no sleep, usual number not known: turns 0, 1 to 2, 3 to 7; heads between as above
//   37      same thread, no sleep, 8 or more turns
//   38      same thread, slept in between
//   39      the handler came back to the thread that read its request
//   40      to another thread
inline constexpr size_t kNearness = 41;
inline constexpr uint8_t kSlept = 38;
inline constexpr uint8_t kHomeThread = 39;
inline constexpr uint8_t kOtherThread = 40;

struct Sight {
  uint8_t gap = 0;
  uint8_t nearness = 0;
  uint8_t hop = kAnyHop;  // turns, up to kHops - 1; kAnyHop if it slept or changed the thread
};

uint8_t GapBucket(uint64_t ns);
uint8_t GapBand(uint8_t gap);
uint64_t GapLimitNs(size_t gap);  // where the bucket ends

// `hop`: the number of turns that this step always takes, kAnyHop if it is not known. `home`: thread that read the
// handler's request.
// Between threads `to` may be before `from`: time is counted either way.
Sight See(const Moment& from, const Moment& to, uint32_t home, uint8_t hop);

// Whether the handler may have gone straight on: nothing else could have woken it.
bool MayBeImmediate(const Sight& sight);

}  // namespace spantap
