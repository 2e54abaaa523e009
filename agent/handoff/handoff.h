// SPDX-License-Identifier: Apache-2.0
//
// The agent's end of the hand-off: sockets, producers, and the thread that takes their spans to the queue.
//
// Used by agent/run. It outlives a run: between two of them (a reload) producers stay attached and their rings fill.
// Threads: its own does everything with producers; the methods are the main thread's, counters() anybody's.
// Memory: rings within HandoffLimits, at most kMaxPending connections without a hello, the spans of one ring's turn.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "agent/capture/targets.h"
#include "agent/handoff/admission.h"
#include "agent/handoff/handed_inbox.h"
#include "agent/handoff/handoff_counters.h"
#include "agent/handoff/handoff_settings.h"
#include "agent/handoff/handoff_socket.h"
#include "agent/handoff/producer.h"
#include "exporter/intake/hello.h"
#include "exporter/intake/pace.h"
#include "exporter/send/ledger.h"
#include "exporter/send/span_queue.h"

namespace spantap {

class Handoff {
 public:
  static constexpr size_t kMaxPending = 64;
  static constexpr uint64_t kHelloNs = 1'000'000'000;  // a connection without a hello ends after this
  static constexpr size_t kRecordsPerTurn = 256;       // of one ring, before the next one's turn
  static constexpr int kPauseTurns = 64;               // what is in the rings at a pause is taken in so many, or stays
  static constexpr uint64_t kDoubtNs = 1'000'000'000;  // after its first span a process may still turn out observed

  // What went wrong with a producer, for people; at most one line a second.
  using LogFn = std::function<void(absl::string_view message, absl::string_view fields)>;

  // Opens the sockets and starts the thread; nothing is read before Begin().
  static absl::StatusOr<std::unique_ptr<Handoff>> Open(const HandoffSettings& settings, LogFn log);
  ~Handoff();

  // A run begins: spans of observed processes go to `inbox` (null: nothing is observed), others to `queue`, or if that
  // is null into `ledger` as not_exported. All outlive Pause() or Stop().
  void Begin(Ledger& ledger, SpanQueue* queue, HandedInbox* inbox = nullptr) ABSL_LOCKS_EXCLUDED(mutex_);
  // The run ends and another follows: what is in the rings is taken, what comes from now on waits there.
  void Pause() ABSL_LOCKS_EXCLUDED(mutex_);
  // The end: no producer can attach any more, all are told, what is in the rings is taken.
  void Stop();

  HandoffCounters counters() const ABSL_LOCKS_EXCLUDED(counters_mutex_);
  const HandoffSettings& settings() const { return settings_; }

 private:
  struct Pending {
    UniqueFd connection;
    Peer peer;
    uint64_t deadline_ns = 0;
  };
  using Producers = std::map<uint64_t, std::unique_ptr<Producer>>;

  Handoff(const HandoffSettings& settings, std::vector<HandoffSocket> sockets, LogFn log);
  absl::Status Start();
  void Wake() const;
  void Run();
  void OnEvent(uint64_t tag, uint64_t now_ns);
  bool Watch(int fd, uint64_t tag, uint32_t events) const;
  void WatchListeners(bool on);
  void Accept(const HandoffSocket& socket, uint64_t now_ns);
  void OnHello(uint64_t id, uint64_t now_ns);
  // The inbox learns of a producer before its spans can come, and of its end after them.
  void CountHost(uint32_t tgid, int change) ABSL_LOCKS_EXCLUDED(mutex_);
  void CountHostLocked(uint32_t tgid, int change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Attach(uint64_t id, Pending& pending, const Hello& hello, const Admission::Answer& answer, uint64_t now_ns);
  void Refuse(Pending& pending, int error);
  const ProcessFacts& FactsOf(const Peer& peer, uint64_t now_ns);
  void OnProducer(Producers::iterator at, bool process_ended, uint64_t now_ns);
  void Housekeep(uint64_t now_ns);
  void ReadRings(uint64_t now_ns) ABSL_LOCKS_EXCLUDED(mutex_);
  bool ReadOne(Producer& producer, uint64_t now_ns, double* fill, bool* more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayBeObserved(Producer& producer, uint64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Push(std::vector<Span> spans) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Quarantine(Producer& producer, const char* why, uint64_t now_ns);
  Producers::iterator Forget(Producers::iterator at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End();
  void Publish() ABSL_LOCKS_EXCLUDED(counters_mutex_);
  void Say(const char* message, const Peer& peer, absl::string_view why);

  const HandoffSettings settings_;
  const LogFn log_;
  std::vector<HandoffSocket> sockets_;
  UniqueFd epoll_, wake_;
  std::atomic<bool> stopping_{false};

  // The thread's own.
  Admission admission_;
  Producers producers_;
  std::map<uint64_t, Pending> pending_;
  uint64_t next_id_ = 0;
  uint64_t listen_again_ns_ = 0;  // if not 0: no connection could be taken, for lack of descriptors or memory
  ProcessFacts facts_;            // of the process that attached last, as threads of one attach together
  uint64_t facts_until_ns_ = 0;
  Pace pace_;
  RecordDecoder decoder_;
  std::vector<char> scratch_;
  std::string packet_;
  HandoffCounters totals_;
  uint64_t next_line_ns_ = 0;

  absl::Mutex mutex_;  // held while rings are read, so that a run ends between two turns
  Ledger* ledger_ ABSL_GUARDED_BY(mutex_) = nullptr;
  SpanQueue* queue_ ABSL_GUARDED_BY(mutex_) = nullptr;
  HandedInbox* inbox_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::map<uint32_t, int> hosts_ ABSL_GUARDED_BY(mutex_);  // processes, and how many producers they have
  int pause_turns_ ABSL_GUARDED_BY(mutex_) = 0;            // left until the pause begins; 0: none was asked for

  mutable absl::Mutex counters_mutex_;
  HandoffCounters published_ ABSL_GUARDED_BY(counters_mutex_);
  HandoffCounters before_run_ ABSL_GUARDED_BY(counters_mutex_);
  HandoffCounters at_pause_ ABSL_GUARDED_BY(counters_mutex_);  // what comes between two runs is the later one's

  std::thread thread_;
};

}  // namespace spantap
