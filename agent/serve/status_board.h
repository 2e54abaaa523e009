// SPDX-License-Identifier: Apache-2.0
//
// Where a run leaves its counters for the listener's thread. The board outlives the runs: a reload ends one and begins
// the next while the port stays open.
//
//   event thread: Turn() each turn, Publish() when Due()        main: Begin(), SetExporter(), SetPhase(), End()
//   listener's thread: Read(), TurnAge()
//
// Cost for the event thread: one relaxed store a turn, and some copies a second while there is a listener. Memory: two
// RunStatus values.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/serve/status.h"

namespace spantap {

class StatusBoard {
 public:
  static constexpr uint64_t kPublishNs = 250'000'000;

  // A run begins; `ledger`, and `exporter` once there is one, are read by Read() until End().
  void Begin(const Ledger& ledger) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetExporter(const Exporter* exporter) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetPhase(Phase phase) ABSL_LOCKS_EXCLUDED(mutex_);
  // The run's objects are about to go: what they say now stays until the next Begin().
  void End() ABSL_LOCKS_EXCLUDED(mutex_);

  // Event thread.
  void Turn(uint64_t mono_ns) { turn_ns_.store(mono_ns, std::memory_order_relaxed); }
  bool Due(uint64_t mono_ns) const { return mono_ns >= next_publish_ns_; }
  void Publish(uint64_t mono_ns, EventStatus events) ABSL_LOCKS_EXCLUDED(mutex_);

  // Any thread. Spans and exporter are of now, events of the last Publish(); each of them is consistent in itself.
  RunStatus Read(uint64_t mono_ns) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes no lock: answers whatever the others are doing.
  absl::Duration TurnAge(uint64_t mono_ns) const;

 private:
  void Refresh(RunStatus& status) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::atomic<uint64_t> turn_ns_{0};
  uint64_t next_publish_ns_ = 0;  // event thread's own

  mutable absl::Mutex mutex_;
  RunStatus status_ ABSL_GUARDED_BY(mutex_);
  const Ledger* ledger_ ABSL_GUARDED_BY(mutex_) = nullptr;
  const Exporter* exporter_ ABSL_GUARDED_BY(mutex_) = nullptr;
  uint64_t runs_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spantap
