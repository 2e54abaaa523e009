// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/pace.h"

#include <algorithm>

namespace spantap {

void Pace::OnTurn(double fill, bool more, uint64_t mono_ns) {
  constexpr double kFast = 0.25, kSlow = 0.0625;
  if (fill > 0) last_record_ns_ = mono_ns;
  if (more) {
    rest_ms_ = 0;
  } else if (fill > kFast) {
    rest_ms_ = kShortestMs;
  } else if (fill > kSlow) {
    rest_ms_ = std::clamp(rest_ms_, kShortestMs, kLongestMs);
  } else if (mono_ns - last_record_ns_ < kIdleAfterNs) {
    rest_ms_ = std::clamp(rest_ms_ + 1, kShortestMs, kLongestMs);
  } else {
    rest_ms_ = kIdleMs;
  }
}

}  // namespace spantap
