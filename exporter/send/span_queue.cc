// SPDX-License-Identifier: Apache-2.0
//
// Two vectors: producers append to one, the consumer empties the other and swaps them when it is done,
// so that nobody moves spans about while holding the lock.
#include "exporter/send/span_queue.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace spantap {

SpanQueue::SpanQueue(const Limits& limits, Ledger& ledger) : limits_(limits), ledger_(ledger) {}

bool SpanQueue::DropInChild(uint64_t n) {
  if (!guard_.InChild()) return false;
  ledger_.Created(n);
  ledger_.Dropped(DropReason::kNoExporter, n);
  return true;
}

// Spans are entered under the lock, so that DropInFlight() sees none that is created and not yet queued or dropped.
void SpanQueue::Push(Span span) {
  if (DropInChild(1)) return;
  absl::MutexLock lock(&mutex_);
  ledger_.Created();
  PushLocked(std::move(span));
  WakeIfWanted();
}

void SpanQueue::PushAll(std::vector<Span> spans) {
  if (DropInChild(spans.size())) return;
  absl::MutexLock lock(&mutex_);
  ledger_.Created(spans.size());
  for (Span& span : spans) PushLocked(std::move(span));
  WakeIfWanted();
}

void SpanQueue::PushLocked(Span&& span) {
  if (closed_) return ledger_.Dropped(DropReason::kShutdown, 1);
  const size_t bytes = span.ApproximateBytes();
  if (queued_ >= limits_.max_spans || bytes > limits_.max_bytes - bytes_) {
    return ledger_.Dropped(DropReason::kQueueFull, 1);
  }
  if (queued_++ == 0) oldest_ns_ = MonoNs();
  bytes_ += bytes;
  incoming_.push_back(std::move(span));
}

// The consumer is woken once, when what it waits for is there, not at every span.
void SpanQueue::WakeIfWanted() {
  if (queued_ < wanted_spans_ && bytes_ < wanted_bytes_) return;
  wanted_spans_ = wanted_bytes_ = kNobodyWaits;
  consumer_.Signal();
}

bool SpanQueue::WaitFor(size_t min_spans, size_t max_bytes, absl::Duration max_wait) {
  const auto max_wait_ns = static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Nanoseconds(max_wait), 0));
  const uint64_t start_ns = MonoNs();
  while (true) {
    const uint64_t now_ns = MonoNs();
    uint64_t deadline_ns = 0;
    {
      absl::MutexLock lock(&mutex_);
      const bool hurry = nudged_.exchange(false) || hurry_.load(std::memory_order_acquire);
      const size_t enough = hurry ? 1 : min_spans;
      deadline_ns = (queued_ > 0 ? oldest_ns_ : start_ns) + max_wait_ns;
      const bool ready = closed_ || queued_ >= enough || bytes_ >= max_bytes || now_ns >= deadline_ns;
      wanted_spans_ = ready ? kNobodyWaits : enough;
      wanted_bytes_ = ready ? kNobodyWaits : max_bytes;
      if (ready) return closed_;
    }
    consumer_.Wait(absl::Nanoseconds(deadline_ns - now_ns));
  }
}

bool SpanQueue::Refill() {
  refilled_ns_ = MonoNs();
  outgoing_.clear();
  next_ = 0;
  absl::MutexLock lock(&mutex_);
  outgoing_.swap(incoming_);
  return !outgoing_.empty();
}

bool SpanQueue::Pop(std::vector<Span>& batch, size_t min_spans, size_t max_spans, size_t max_bytes,
                    absl::Duration max_wait) {
  batch.clear();
  const bool closed = WaitFor(min_spans, max_bytes, max_wait);
  size_t taken_bytes = 0;
  while (batch.size() < max_spans) {
    if (next_ == outgoing_.size() && !Refill()) break;
    const size_t bytes = outgoing_[next_].ApproximateBytes();
    if (!batch.empty() && taken_bytes + bytes > max_bytes) break;
    taken_bytes += bytes;
    batch.push_back(std::move(outgoing_[next_++]));
  }
  absl::MutexLock lock(&mutex_);
  if (abandoned_) {
    batch.clear();
    return false;
  }
  queued_ -= batch.size();
  bytes_ -= taken_bytes;
  if (next_ == outgoing_.size()) oldest_ns_ = refilled_ns_;  // what is left came after that
  return !batch.empty() || !closed;
}

void SpanQueue::Close() {
  if (guard_.InChild()) return;
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  consumer_.Signal();
}

void SpanQueue::Hurry() {
  hurry_.store(true, std::memory_order_release);
  consumer_.Signal();
}

void SpanQueue::Nudge() {
  if (guard_.InChild()) return;
  nudged_.store(true, std::memory_order_release);
  consumer_.Signal();
}

void SpanQueue::DropInFlight() {
  absl::MutexLock lock(&mutex_);
  closed_ = abandoned_ = true;
  ledger_.Dropped(DropReason::kShutdown, ledger_.Snapshot().in_flight());
  incoming_.clear();
  queued_ = bytes_ = 0;
  consumer_.Signal();
}

void SpanQueue::ArmForkGuard() {
  consumer_.Renew();
  guard_.Arm();
}

size_t SpanQueue::size() const {
  if (guard_.InChild()) return 0;
  absl::MutexLock lock(&mutex_);
  return queued_;
}

size_t SpanQueue::bytes() const {
  if (guard_.InChild()) return 0;
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace spantap
