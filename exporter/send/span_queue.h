// SPDX-License-Identifier: Apache-2.0
//
// The bounded queue between those who have spans and the batcher thread: the only object that both touch
// (besides the ledger's atomics).
//
// Push never blocks and never waits for the consumer: full means the span is dropped and counted. In a child of
// fork() (once the guard is armed) every call returns at once and pushed spans are dropped (not_exported).
// Memory: at most `max_spans` spans and `max_bytes` of Span::ApproximateBytes(). One consumer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "exporter/model/span.h"
#include "exporter/send/fork_guard.h"
#include "exporter/send/ledger.h"
#include "exporter/send/wakeup.h"

namespace spantap {

class SpanQueue {
 public:
  struct Limits {
    size_t max_spans = 8192;
    size_t max_bytes = 16 << 20;
  };
  SpanQueue(const Limits& limits, Ledger& ledger);

  // Any thread. Enters the span into the ledger; drops it there if there is no room.
  void Push(Span span) ABSL_LOCKS_EXCLUDED(mutex_);
  // As Push, with one lock for all.
  void PushAll(std::vector<Span> spans) ABSL_LOCKS_EXCLUDED(mutex_);

  // Consumer. Waits until at least `min_spans` are queued, the oldest of them is `max_wait` old (if there is none,
  // for max_wait) or Close() was called; then moves at most `max_spans` / `max_bytes` into `batch` (cleared first).
  // False once the queue is closed and empty.
  [[nodiscard]] bool Pop(std::vector<Span>& batch, size_t min_spans, size_t max_spans, size_t max_bytes,
                         absl::Duration max_wait) ABSL_LOCKS_EXCLUDED(mutex_);

  // No more pushes are accepted (they count as dropped, shutdown); wakes the consumer.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  // From now on Pop() waits for one span only. Async-signal-safe.
  void Hurry();
  // What is queued now is not to wait for more; once. Any thread.
  void Nudge();
  // The consumer hangs and will not come back: closes the queue and drops all that is in flight, here and behind
  // (shutdown). Exact, as no other thread may enter or settle spans meanwhile; later Pop()s find nothing.
  void DropInFlight() ABSL_LOCKS_EXCLUDED(mutex_);
  // This process is the one that exports; its children do not. Before the consumer starts.
  void ArmForkGuard();
  bool InChild() const { return guard_.InChild(); }

  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);
  size_t bytes() const ABSL_LOCKS_EXCLUDED(mutex_);
  const Limits& limits() const { return limits_; }

 private:
  static constexpr size_t kNobodyWaits = SIZE_MAX;
  bool DropInChild(uint64_t n);
  void PushLocked(Span&& span) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeIfWanted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WaitFor(size_t min_spans, size_t max_bytes, absl::Duration max_wait) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Refill() ABSL_LOCKS_EXCLUDED(mutex_);

  const Limits limits_;
  Ledger& ledger_;
  ForkGuard guard_;
  std::atomic<bool> hurry_{false}, nudged_{false};
  // The consumer's own: what it swapped out and has not handed out yet.
  std::vector<Span> outgoing_;
  size_t next_ = 0;
  uint64_t refilled_ns_ = 0;
  Wakeup consumer_;

  mutable absl::Mutex mutex_;
  size_t wanted_spans_ ABSL_GUARDED_BY(mutex_) = kNobodyWaits;
  size_t wanted_bytes_ ABSL_GUARDED_BY(mutex_) = kNobodyWaits;
  std::vector<Span> incoming_ ABSL_GUARDED_BY(mutex_);
  size_t queued_ ABSL_GUARDED_BY(mutex_) = 0;  // in both vectors
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t oldest_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // if queued_: nothing in it is older
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace spantap
