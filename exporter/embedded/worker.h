// SPDX-License-Identifier: Apache-2.0
//
// Embedded mode in one process: its rings, the thread that reads them, the exporter behind it.
//
// Made by the first connect in a process and never freed: a child of fork() finds its parent's, leaves it alone and
// makes its own. Connect(), Flush() and Stop() are called by threads of the host, which do no more than make a ring:
// all of the exporter, with the locks of the libraries behind it, is the thread's. It leaves when no producer has been
// there for kRest and all is sent, and comes back with the next one. Memory: rings, at most kMaxSources; the exporter's
// bounds (exporter/send/README.md).
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "exporter/embedded/host_mutex.h"
#include "exporter/embedded/settings.h"
#include "exporter/embedded/source.h"
#include "exporter/intake/pace.h"
#include "exporter/send/exporter.h"
#include "exporter/send/fork_guard.h"
#include "exporter/send/ledger.h"
#include "exporter/send/wakeup.h"

namespace spantap {

class Worker {
 public:
  static constexpr size_t kMaxSources = 1024;
  static constexpr size_t kRecordsPerTurn = 256;  // of one ring, before the next one's turn
  static constexpr uint64_t kRestNs = 1'000'000'000;

  // `settings` outlives it. No thread yet.
  explicit Worker(const EmbeddedSettings& settings);

  // In a child of the process that it was made in.
  bool InChild() const { return guard_.InChild(); }

  // The producer's end of a connection on which the welcome lies ready; -1: none. Starts the thread.
  int Connect(absl::string_view hello) ABSL_LOCKS_EXCLUDED(mutex_);
  // Until what lay in rings or was on its way has left, or is given up. False: not within `timeout`.
  bool Flush(absl::Duration timeout);
  // The process ends: rings are closed and read, the exporter sends for at most settings.exporter.drain. Waits for
  // that, and for a thread that hangs not much longer.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  LedgerSnapshot ledger() const { return ledger_.Snapshot(); }

 private:
  bool StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run();
  bool Work();
  bool Open() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeArrivals() ABSL_LOCKS_EXCLUDED(mutex_);
  void ReadRings();
  bool ReadOne(Source& source, double* fill, bool* more);
  bool Idle(uint64_t now_ns);
  void DrainRings() ABSL_LOCKS_EXCLUDED(mutex_);
  bool Leave() ABSL_LOCKS_EXCLUDED(mutex_);
  void Say(absl::string_view line) const;

  const EmbeddedSettings& settings_;
  ForkGuard guard_;
  Ledger ledger_;
  Wakeup wakeup_;
  std::atomic<bool> stopping_{false}, ended_{false};
  std::atomic<uint64_t> turns_{0};  // that have looked at all rings

  HostMutex mutex_;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;  // the thread is there, and has not decided to leave
  bool joinable_ ABSL_GUARDED_BY(mutex_) = false;
  pthread_t thread_ ABSL_GUARDED_BY(mutex_) = {};  // joined when the next one starts, or at the end
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;    // no more connections
  std::vector<std::unique_ptr<Source>> arrivals_ ABSL_GUARDED_BY(mutex_);
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;  // of arrivals_ and sources_

  // The thread's own, but for the first, which Flush() reads and the thread changes under the lock.
  std::unique_ptr<Exporter> exporter_;
  std::vector<std::unique_ptr<Source>> sources_;
  RecordDecoder decoder_;
  std::vector<char> scratch_;
  Pace pace_;
  HandoffDrops drops_;           // that producers counted, for the last line
  uint64_t look_again_ns_ = 0;   // at whether producers have gone
  uint64_t alone_since_ns_ = 0;  // without a producer
};

}  // namespace spantap
