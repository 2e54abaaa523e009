// SPDX-License-Identifier: Apache-2.0
//
// The destinations of a process, each with the connections that calls to it share; used by ProcessCauses and
// PoolQueues. Calls wait for a connection where most go out just when one became free and the number of those in use
// hardly varies: it is at its limit. Event thread. Memory: kMax pools of 72 bytes; calls to further destinations belong
// to none.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/cause/window.h"

namespace spantap {

class Pools {
 public:
  static constexpr size_t kMax = 64;
  static constexpr uint16_t kNone = 0xffff;

  // Says which pool the call belongs to.
  void OnSent(Call& call, uint64_t destination);
  void OnAnswered(const Call& call);
  // It will not be answered any more.
  void OnGone(const Call& call);

  size_t size() const { return pools_.size(); }
  uint16_t Of(Label label) const { return label < of_.size() ? of_[label] : kNone; }
  bool Waits(uint16_t pool) const { return pool < pools_.size() && pools_[pool].waits; }
  // It is not sure that its calls do not: more of them look so than by chance.
  bool MayWait(uint16_t pool) const;
  bool AnyWaits() const;
  // When one of its connections became free last, if calls wait for that.
  const Moment* FreedOf(uint16_t pool) const { return Waits(pool) ? &pools_[pool].freed : nullptr; }

 private:
  struct Pool {
    uint32_t busy = 0;  // connections
    float most = 0;     // that are busy in nine of ten cases
    float mean = 0;
    float waited = 0;  // share of calls, lately
    bool waits = false;
    Moment freed;
  };
  absl::flat_hash_map<uint64_t, uint16_t> numbers_;  // by destination
  std::vector<Pool> pools_;
  std::vector<uint16_t> of_;  // of each label
};

}  // namespace spantap
