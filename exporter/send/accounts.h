// SPDX-License-Identifier: Apache-2.0
//
// The ledger and the log as the exporter's threads see them, until Stop() gives up on a thread that hangs in a disk
// or a transport: from then on nothing reaches the caller's objects, which may be gone.
//
// Any thread; one mutex for the ledger, one for the log, held for no I/O but the log function's.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "exporter/send/ledger.h"
#include "exporter/send/span_queue.h"
#include "exporter/spool/spool.h"

namespace spantap {

class Accounts {
 public:
  Accounts(Ledger& ledger, std::function<void(absl::string_view)> log) : ledger_(&ledger), log_(std::move(log)) {}

  void Recovered(uint64_t n) ABSL_LOCKS_EXCLUDED(mutex_);
  void Acknowledged(uint64_t n) ABSL_LOCKS_EXCLUDED(mutex_);
  void Dropped(DropReason reason, uint64_t n) ABSL_LOCKS_EXCLUDED(mutex_);
  // Around Spool::Append(). Counted before, because the batch may be taken, sent and settled before Append() returns.
  void BeginSpooling(uint64_t n) ABSL_LOCKS_EXCLUDED(mutex_);
  void EndSpooling(uint64_t n, bool spooled) ABSL_LOCKS_EXCLUDED(mutex_);
  // Settled: followed by Acknowledged() and Dropped() for as many.
  void Unspooled(uint64_t n) ABSL_LOCKS_EXCLUDED(mutex_);
  void Lost(SpoolLoss why, uint64_t n) ABSL_LOCKS_EXCLUDED(mutex_);

  void Log(absl::string_view line) ABSL_LOCKS_EXCLUDED(log_mutex_);

  // The threads are given up: what is in flight is dropped (shutdown), with what is being spooled, as nobody will
  // know how that ended. No later call has an effect.
  void Abandon(SpanQueue& queue) ABSL_LOCKS_EXCLUDED(mutex_, log_mutex_);

 private:
  absl::Mutex mutex_;
  Ledger* ledger_ ABSL_GUARDED_BY(mutex_);  // nullptr: abandoned
  uint64_t spooling_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Mutex log_mutex_;
  std::function<void(absl::string_view)> log_ ABSL_GUARDED_BY(log_mutex_);  // empty: abandoned
};

}  // namespace spantap
