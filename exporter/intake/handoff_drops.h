// SPDX-License-Identifier: Apache-2.0
//
// Spans that producers say they dropped before the ring: claims, believed as far as HandoffClaims::Advance() does.
// Values; any thread.
#pragma once

#include <cstdint>

namespace spantap {

struct HandoffDrops {
  uint64_t full = 0;
  uint64_t too_large = 0;
  uint64_t no_agent = 0;
  uint64_t invalid = 0;

  HandoffDrops& operator+=(const HandoffDrops& more) {
    full += more.full;
    too_large += more.too_large;
    no_agent += more.no_agent;
    invalid += more.invalid;
    return *this;
  }
  HandoffDrops operator-(const HandoffDrops& less) const {
    return {full - less.full, too_large - less.too_large, no_agent - less.no_agent, invalid - less.invalid};
  }
};

}  // namespace spantap
