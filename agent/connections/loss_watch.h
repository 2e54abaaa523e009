// SPDX-License-Identifier: Apache-2.0
//
// Whether records are being lost: what was open at some moment is then known in part only, and whoever reasons "there
// was no other" (most rules of agent/link) must not. The kernel tells with each record how many were lost before it
// (spantap_event_header.lost), whichever process they were of.
//
// Event thread only. O(1) a record, fixed size.
#pragma once

#include <cstdint>

namespace spantap {

class LossWatch {
 public:
  // A request whose head was lost may be open this long afterwards, and up to twice as long.
  static constexpr uint64_t kGenerationNs = 1'000'000'000;
  // Fewer than one in so many: less than what the rules themselves may be wrong.
  static constexpr uint64_t kNoticeable = 1000;

  // `lost`: records lost since the one before, at least. A clock that goes back begins nothing new.
  void Add(uint64_t mono_ns, uint64_t lost) {
    if (mono_ns >= begun_ns_ + kGenerationNs) {
      before_ = mono_ns < begun_ns_ + 2 * kGenerationNs ? now_ : Counts{};
      now_ = {};
      begun_ns_ = mono_ns;
    }
    ++now_.seen;
    now_.lost += lost;
  }
  bool losing() const { return (now_.lost + before_.lost) * kNoticeable > now_.seen + before_.seen; }

 private:
  struct Counts {
    uint64_t seen = 0;
    uint64_t lost = 0;
  };
  uint64_t begun_ns_ = 0;
  Counts now_, before_;
};

}  // namespace spantap
