// SPDX-License-Identifier: Apache-2.0
//
// The folder of a spool and the files in it, by plain system calls: made 0700, locked against other processes, every
// file 0600, close-on-exec, never through a symbolic link. All errors are values (errno); nothing throws or retries.
// Used by the spool under its lock. Memory: the list of names, bounded by kMaxListed.
//
// Names: 16 hex digits, ascending with age, then ".seg"; ".seg.damaged" for what was moved aside. Others are not ours.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace spantap {

class SpoolFolder {
 public:
  static constexpr size_t kMaxListed = 1 << 14;     // segments; more wait for the next start
  static constexpr size_t kMaxEntries = 1 << 20;    // names read at all
  static constexpr uint64_t kMaxName = 1ull << 63;  // exclusive

  static absl::StatusOr<SpoolFolder> Open(const std::string& dir);

  struct Listing {
    std::vector<uint64_t> segments;  // ascending
    std::vector<uint64_t> damaged;   // ascending
    bool complete = true;
  };
  Listing List() const;

  // errno 0 and a valid descriptor, or an error. EPERM: there is something by that name that is not ours to read.
  int OpenSegment(uint64_t name, UniqueFd* ret) const;
  int CreateSegment(uint64_t name, UniqueFd* ret) const;  // EEXIST: taken
  int Remove(uint64_t name) const;                        // an absent file is removed already
  int SetAside(uint64_t name) const;                      // to ".damaged"
  int RemoveDamaged(uint64_t name) const;
  uint64_t DamagedBytes(uint64_t name) const;  // 0: not there
  int Sync() const;                            // makes creations, renames and deletions last

 private:
  SpoolFolder(UniqueFd folder, UniqueFd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}

  UniqueFd folder_;
  UniqueFd lock_;
};

}  // namespace spantap
