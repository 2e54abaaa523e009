// SPDX-License-Identifier: Apache-2.0
//
// The few encoded batches between the batcher and the sender, and the buffers that go round between the two, so that
// a steady load allocates nothing large.
//
// One thread puts, one takes (at the end the putter may take too). Bounds: kMaxBatches and `max_bytes`, capacity of
// idle buffers included; a batch always fits into an empty inbox.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "exporter/send/batch.h"
#include "exporter/send/wakeup.h"

namespace spantap {

class Inbox {
 public:
  static constexpr size_t kMaxBatches = 8;
  // `taker` is signalled at each batch and at the end.
  Inbox(size_t max_bytes, Wakeup& taker) : max_bytes_(max_bytes), taker_(taker) {}

  enum class PutResult { kTaken, kFull, kEnded };
  // Copies the request. kEnded: nobody takes any more.
  PutResult Put(absl::string_view request, uint64_t spans) ABSL_LOCKS_EXCLUDED(mutex_);
  // The putter's. Returns when something has been taken, at Nudge(), or after `max_wait`.
  void WaitForRoom(absl::Duration max_wait) { putter_.Wait(max_wait); }
  void Nudge() { putter_.Signal(); }  // async-signal-safe
  // No more will be put.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

  std::optional<Batch> Take() ABSL_LOCKS_EXCLUDED(mutex_);
  bool empty() const ABSL_LOCKS_EXCLUDED(mutex_);
  bool ended() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Gives a taken batch's buffer back.
  void Recycle(std::string buffer) ABSL_LOCKS_EXCLUDED(mutex_);
  // True if closed and empty: the taker ends, and with it the inbox (kEnded).
  bool EndIfDone() ABSL_LOCKS_EXCLUDED(mutex_);
  // The taker ends, whatever is here; Take() still gives what is left.
  void End() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const size_t max_bytes_;
  Wakeup& taker_;
  Wakeup putter_;

  mutable absl::Mutex mutex_;
  std::deque<Batch> batches_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of batches_
  std::vector<std::string> idle_ ABSL_GUARDED_BY(mutex_);
  size_t idle_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // capacity
  bool putter_waits_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace spantap
