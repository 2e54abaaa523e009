// SPDX-License-Identifier: Apache-2.0
//
// What the agent itself costs, from /proc/self. Any thread; reads two small files and lists one folder.
#pragma once

#include <cstdint>

namespace spantap {

struct ProcessStats {
  double start_time_s = 0;  // Unix time; 0: /proc could not be read
  double cpu_s = 0;         // user and system
  uint64_t resident_bytes = 0;
  uint64_t threads = 0;
  uint64_t open_fds = 0;
};

ProcessStats ReadProcessStats();

}  // namespace spantap
