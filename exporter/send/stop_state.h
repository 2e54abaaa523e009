// SPDX-License-Identifier: Apache-2.0
//
// How far the end has come, for the exporter's threads: running, asked to hurry, or stopping with two deadlines.
// Written by RequestStop() and Stop(), read by the batcher and the sender.
//
// Any thread; Request() in signal handlers too. Monotonic clock.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "base/clock.h"

namespace spantap {

// `t` as nanoseconds from `now_ns`, without overflow. Negative: now.
inline uint64_t After(uint64_t now_ns, absl::Duration t) {
  const int64_t ns = absl::ToInt64Nanoseconds(t);
  return ns <= 0 ? now_ns : now_ns + static_cast<uint64_t>(ns);
}
inline absl::Duration Until(uint64_t at_ns, uint64_t now_ns) {
  return at_ns <= now_ns ? absl::ZeroDuration() : absl::Nanoseconds(at_ns - now_ns);
}

class StopState {
 public:
  void Request() { requested_.store(true, std::memory_order_release); }
  // Nothing is sent after `send_end_ns`, nothing written after `deadline_ns`.
  void Begin(uint64_t send_end_ns, uint64_t deadline_ns) {
    send_end_ns_.store(send_end_ns, std::memory_order_release);
    deadline_ns_.store(deadline_ns, std::memory_order_release);
    Request();
  }

  bool requested() const { return requested_.load(std::memory_order_acquire); }
  bool stopping() const { return deadline_ns_.load(std::memory_order_acquire) != kNever; }
  // Infinite while running; never negative.
  absl::Duration SendTimeLeft() const { return Left(send_end_ns_); }
  absl::Duration TimeLeft() const { return Left(deadline_ns_); }

 private:
  static constexpr uint64_t kNever = UINT64_MAX;
  static absl::Duration Left(const std::atomic<uint64_t>& end_ns) {
    const uint64_t end = end_ns.load(std::memory_order_acquire);
    return end == kNever ? absl::InfiniteDuration() : Until(end, MonoNs());
  }

  std::atomic<bool> requested_{false};
  std::atomic<uint64_t> send_end_ns_{kNever}, deadline_ns_{kNever};
};

}  // namespace spantap
