// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/inbox.h"

#include <utility>

namespace spantap {

Inbox::PutResult Inbox::Put(absl::string_view request, uint64_t spans) {
  Batch batch;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return PutResult::kEnded;
    if (batches_.size() >= kMaxBatches || (!batches_.empty() && bytes_ + request.size() > max_bytes_)) {
      putter_waits_ = true;
      return PutResult::kFull;
    }
    if (!idle_.empty()) {
      batch.request = std::move(idle_.back());
      idle_.pop_back();
      idle_bytes_ -= batch.request.capacity();
    }
  }
  batch.request.assign(request.data(), request.size());  // the copy, without the lock
  batch.spans = spans;
  absl::MutexLock lock(&mutex_);
  if (ended_) return PutResult::kEnded;
  bytes_ += batch.request.size();
  batches_.push_back(std::move(batch));
  taker_.Signal();
  return PutResult::kTaken;
}

void Inbox::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  taker_.Signal();
}

std::optional<Batch> Inbox::Take() {
  absl::MutexLock lock(&mutex_);
  if (batches_.empty()) return std::nullopt;
  Batch batch = std::move(batches_.front());
  batches_.pop_front();
  bytes_ -= batch.request.size();
  if (std::exchange(putter_waits_, false)) putter_.Signal();
  return batch;
}

bool Inbox::empty() const {
  absl::MutexLock lock(&mutex_);
  return batches_.empty();
}

void Inbox::Recycle(std::string buffer) {
  absl::MutexLock lock(&mutex_);
  if (bytes_ + idle_bytes_ + buffer.capacity() > max_bytes_ || idle_.size() >= kMaxBatches) return;
  idle_bytes_ += buffer.capacity();
  idle_.push_back(std::move(buffer));
}

bool Inbox::EndIfDone() {
  absl::MutexLock lock(&mutex_);
  if (!closed_ || !batches_.empty()) return false;
  ended_ = true;
  putter_.Signal();
  return true;
}

bool Inbox::ended() const {
  absl::MutexLock lock(&mutex_);
  return ended_;
}

void Inbox::End() {
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  putter_.Signal();
}

}  // namespace spantap
