// SPDX-License-Identifier: Apache-2.0
//
// The two clocks. Event times are CLOCK_MONOTONIC; spans carry wall time (mono + offset).
#pragma once

#include <time.h>

#include <cstdint>

namespace spantap {

inline uint64_t ClockNs(clockid_t id) {
  timespec ts;
  clock_gettime(id, &ts);
  return static_cast<uint64_t>(ts.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(ts.tv_nsec);
}
inline uint64_t MonoNs() { return ClockNs(CLOCK_MONOTONIC); }
// CLOCK_REALTIME - CLOCK_MONOTONIC now; the midpoint of two monotonic reads bounds the error.
inline uint64_t WallMinusMonoNs() {
  const uint64_t before = MonoNs();
  const uint64_t wall = ClockNs(CLOCK_REALTIME);
  const uint64_t after = MonoNs();
  return wall - (before + (after - before) / 2);
}

}  // namespace spantap
