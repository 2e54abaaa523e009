// SPDX-License-Identifier: Apache-2.0
//
// All dealings with the spool: storing what memory cannot hold, and reading it back, oldest first and slowly enough
// that fresh spans are not held up. Accounts for each. (What a person must know of the disk, the spool says itself.)
//
// Store() from any thread; the rest on the sender's. Memory: one batch, the caller's.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "exporter/send/accounts.h"
#include "exporter/send/batch.h"
#include "exporter/send/wakeup.h"
#include "exporter/spool/spool.h"

namespace spantap {

class Overflow {
 public:
  // `reader` is signalled when there is something again. `bytes_per_s` 0: no limit.
  Overflow(std::unique_ptr<Spool> spool, uint64_t bytes_per_s, Accounts& accounts, Wakeup& reader);

  // Enters what an earlier run left into the ledger. Once, before the threads start.
  void Recover();

  // False: not on disk, still the caller's.
  [[nodiscard]] bool Store(absl::string_view request, uint64_t spans);

  // There may be something to take.
  bool MayHave() const { return may_have_.load(std::memory_order_acquire); }
  // When the next one may be sent.
  uint64_t due_ns() const { return due_ns_; }
  // The oldest; it has a spool_id.
  std::optional<Batch> Take(uint64_t now_ns);
  // Settled: acknowledged, or refused for good. False if a limit was faster: then it has been counted as lost.
  [[nodiscard]] bool Done(uint64_t spool_id);
  // Not settled: it will be taken again.
  void PutBack(uint64_t spool_id);
  // It came to nothing, after `delivered` other batches did since the start. True: give it up. A batch that fails
  // again and again while others pass would hold up all that lie behind it for ever; it is tried later and later,
  // at most every `pause`, and kMostStrikes times.
  [[nodiscard]] bool Suspect(uint64_t spool_id, uint64_t delivered, absl::Duration pause);

  // As after the last of these calls: never waits for the disk. Any thread.
  Spool::Stats stats() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr int kMostStrikes = 5;
  void NoteStats() ABSL_LOCKS_EXCLUDED(note_mutex_, mutex_);
  const std::unique_ptr<Spool> spool_;
  const uint64_t bytes_per_s_;
  Accounts& accounts_;
  Wakeup& reader_;
  std::atomic<bool> may_have_{true};
  uint64_t due_ns_ = 0;
  // The batch that failed last, how much had been delivered then, and how often it failed while others passed.
  uint64_t suspect_id_ = 0;
  uint64_t suspect_delivered_ = 0;
  int strikes_ = 0;
  absl::Mutex note_mutex_;
  mutable absl::Mutex mutex_;
  Spool::Stats stats_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spantap
