// SPDX-License-Identifier: Apache-2.0
//
// --link-memory: what was learned about programs, from a file at the start of a run, back to it each kSaveNs and at the
// end. A file that is no good is said and ignored; a failed write is said, counted and tried again next time.
//
//   event thread: one process a turn ──► CauseMemory ──► copy of its pointers ──► writer thread: bytes, file
//
// Event thread, and a thread of its own while it writes. Memory: CauseMemory's, and kMaxStoreBytes while it writes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "agent/cause/cause_finder.h"
#include "agent/serve/memory_counters.h"

namespace spantap {

class LinkMemory {
 public:
  static constexpr uint64_t kSaveNs = 300'000'000'000;

  // `path`: one that CheckMemoryPath() lets pass. Reads the file into `causes`.
  LinkMemory(std::string path, CauseFinder& causes, uint64_t now_ns);
  ~LinkMemory();

  // After each turn; saves when it is time.
  void OnTurn(uint64_t now_ns, CauseFinder& causes);
  // Saves, here and now.
  void Close(CauseFinder& causes);
  MemoryCounters counters() const;

 private:
  void Load(CauseFinder& causes);
  void Save(const CauseMemory& memory);
  void Write(const std::vector<CauseMemory::Entry>& entries);

  const std::string path_;
  uint64_t saved_ns_;
  bool saving_ = false;  // processes are being asked
  uint64_t loaded_ = 0, rejected_ = 0;
  std::atomic<uint64_t> saved_{0}, write_errors_{0};
  std::atomic<bool> writing_{false};
  std::thread writer_;
};

}  // namespace spantap
