// SPDX-License-Identifier: Apache-2.0
//
// Two vectors: producers append to one, the consumer empties the other and swaps them when it is done,
// so that nobody moves spans about while holding the lock.
#include "exporter/send/span_queue.h"

#include <utility>

#include "base/clock.h"

namespace spantap {

SpanQueue::SpanQueue(const Limits& limits, Ledger& ledger) : limits_(limits), ledger_(ledger) {}

void SpanQueue::Push(Span span) {
  ledger_.Created();
  absl::MutexLock lock(&mutex_);
  PushLocked(std::move(span));
  WakeIfWanted();
}

void SpanQueue::PushAll(std::vector<Span> spans) {
  ledger_.Created(spans.size());
  absl::MutexLock lock(&mutex_);
  for (Span& span : spans) PushLocked(std::move(span));
  WakeIfWanted();
}

void SpanQueue::PushLocked(Span span) {
  if (closed_) return ledger_.Dropped(DropReason::kShutdown, 1);
  const size_t bytes = span.ApproximateBytes();
  if (queued_ >= limits_.max_spans || bytes > limits_.max_bytes - bytes_) {
    return ledger_.Dropped(DropReason::kQueueFull, 1);
  }
  ++queued_;
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
  const uint64_t deadline_ns = MonoNs() + static_cast<uint64_t>(absl::ToInt64Nanoseconds(max_wait));
  while (true) {
    const uint64_t now_ns = MonoNs();
    {
      absl::MutexLock lock(&mutex_);
      const bool ready = closed_ || queued_ >= min_spans || bytes_ >= max_bytes || now_ns >= deadline_ns;
      wanted_spans_ = ready ? kNobodyWaits : min_spans;
      wanted_bytes_ = ready ? kNobodyWaits : max_bytes;
      if (ready) return closed_;
    }
    consumer_.Wait(absl::Nanoseconds(deadline_ns - now_ns));
  }
}

bool SpanQueue::Refill() {
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
  queued_ -= batch.size();
  bytes_ -= taken_bytes;
  return !batch.empty() || !closed;
}

void SpanQueue::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  consumer_.Signal();
}

size_t SpanQueue::size() const {
  absl::MutexLock lock(&mutex_);
  return queued_;
}

}  // namespace spantap
