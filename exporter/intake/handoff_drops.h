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
};

}  // namespace spantap
