// SPDX-License-Identifier: Apache-2.0
//
// What was learned about programs, beyond the life of their processes: an image (learned_image.h) by a hash that stands
// for the program. Kept as bytes, so that its size is known and a copy for a writer is cheap.
//
// CauseKeeper fills it and looks things up, store.h makes a file of it. One thread; copies may go to another.
// Memory: kMaxPrograms, kMaxBytes in all; beyond it what was learned longest ago is forgotten.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "agent/cause/learned_image.h"

namespace spantap {

class CauseMemory {
 public:
  static constexpr size_t kMaxPrograms = 1024;
  static constexpr size_t kMaxBytes = (16 << 20) - 64 - kMaxPrograms * 12;  // a file of 16 MiB, with its own parts

  // Empty if there is none.
  LearnedImage Find(uint64_t program) const;
  // Merged with what there is; the program is the one learned last.
  void Add(uint64_t program, LearnedImage image);
  // As Add(), of an image's bytes; false: they are none. Nothing is merged, the newest counts.
  bool AddBytes(uint64_t program, absl::string_view image);

  using Entry = std::pair<uint64_t, std::shared_ptr<const std::string>>;
  std::vector<Entry> Entries() const;  // in the order in which they were learned
  size_t size() const { return programs_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Program {
    std::shared_ptr<const std::string> image;  // shared with copies
    uint64_t added = 0;
  };
  void Put(uint64_t program, std::string image);
  void ForgetOldest();

  absl::flat_hash_map<uint64_t, Program> programs_;
  size_t bytes_ = 0;
  uint64_t adds_ = 0;
};

}  // namespace spantap
