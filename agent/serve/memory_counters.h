// SPDX-License-Identifier: Apache-2.0
//
// What became of the file of --link-memory. Values; any thread.
#pragma once

#include <cstdint>

namespace spantap {

struct MemoryCounters {
  uint64_t loaded = 0;        // programs read from the file
  uint64_t rejected = 0;      // files that were no good: ignored whole
  uint64_t saved = 0;         // programs in the file that was written last
  uint64_t write_errors = 0;  // files that could not be written
};

}  // namespace spantap
