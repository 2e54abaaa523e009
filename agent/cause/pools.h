// SPDX-License-Identifier: Apache-2.0
//
// The destinations of a process, each with the connections that calls to it share.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/cause/gates.h"
#include "agent/cause/window.h"

namespace spantap {

class Pools {
 public:
  static constexpr size_t kMax = 64;
  static constexpr uint16_t kNone = 0xffff;
  void OnSent(Call& call, uint64_t destination);
  void OnAnswered(const Call& call);
  bool Waits(uint16_t pool) const {
    static const bool off = getenv("NOPOOLS") != nullptr;
    return !off && pool < pools_.size() && pools_[pool].waits;
  }
  // When one of its connections became free last.
  const Moment* FreedOf(uint16_t pool) const { return Waits(pool) ? &pools_[pool].freed : nullptr; }
  bool AnyWaits() const;
  size_t size() const { return pools_.size(); }
  uint16_t Of(Label label) const { return label < of_.size() ? of_[label] : kNone; }
 private:
  struct Pool {
    uint32_t busy = 0;
    float most = 0;
    float mean = 0;
    Moment freed;
    float waited = 0;
    bool waits = false;
  };
  std::vector<Pool> pools_;
  std::vector<uint16_t> of_;  // of each label
  absl::flat_hash_map<uint64_t, uint16_t> numbers_;
};

}  // namespace spantap
