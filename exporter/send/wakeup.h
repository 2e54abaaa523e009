// SPDX-License-Identifier: Apache-2.0
//
// One thread waits, any other may wake it. An eventfd, because a relative poll() runs on the monotonic
// clock: absl::CondVar's deadlines are wall time, and a clock set back by an hour would stop exporting
// for an hour. Signal() is async-signal-safe.
//
// A signal without a waiter is kept for the next Wait(). If no descriptor could be had, Wait() returns every 50 ms.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace spantap {

class Wakeup {
 public:
  Wakeup() : fd_(Open()) {}

  void Signal() {
    const uint64_t one = 1;
    // Fails only if the counter is full, that is, if the waiter will wake anyway.
    [[maybe_unused]] const ssize_t written = write(fd_.get(), &one, sizeof(one));
  }

  // Returns at a signal or after `max_wait` (rounded up to milliseconds, at most an hour), or early if interrupted.
  void Wait(absl::Duration max_wait) {
    const int64_t most_ms = fd_.valid() ? 3'600'000 : 50;
    const int64_t ms = absl::ToInt64Milliseconds(absl::Ceil(max_wait, absl::Milliseconds(1)));
    pollfd poll_fd = {fd_.get(), POLLIN, 0};
    if (poll(&poll_fd, 1, static_cast<int>(std::clamp<int64_t>(ms, 0, most_ms))) <= 0) return;
    uint64_t count;
    [[maybe_unused]] const ssize_t taken = read(fd_.get(), &count, sizeof(count));
  }

  // In a child of fork(), before anyone waits: a descriptor of its own, not the parent's.
  void Renew() { fd_ = UniqueFd(Open()); }

 private:
  static int Open() { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
  UniqueFd fd_;
};

}  // namespace spantap
