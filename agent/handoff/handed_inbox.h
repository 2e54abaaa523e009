// SPDX-License-Identifier: Apache-2.0
//
// Spans on their way from the hand-off's thread to the event thread, which joins them with what it saw in the kernel;
// and what each of the two knows of a process that the other needs: is it observed, does it hand off.
//
// Used by handoff.cc and agent/run/pipeline.cc. Nobody is woken: the event thread takes what is there once a turn.
// Any thread. Memory: kMaxSpans and kMaxBytes, a quarter of them to one process; what does not fit, or comes faster
// than kSpansPerSecond from one process, is not taken, and goes to the queue as it is.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "exporter/model/handed_span.h"

namespace spantap {

class HandedInbox {
 public:
  static constexpr size_t kMaxSpans = 65536;
  static constexpr size_t kMaxBytes = 64 << 20;
  static constexpr uint64_t kSpansPerSecond = 100'000;
  static constexpr size_t kMaxProcesses = 4096;
  // Spans may come for so long after the end of their process, or before its first event.
  static constexpr uint64_t kDoubtNs = 5'000'000'000;

  // Event thread: the pipeline has seen an event of the process; the process has ended.
  void Observe(uint32_t tgid);
  void ObserveEnd(uint32_t tgid, uint64_t mono_ns);
  // Event thread. Free of locks if there is nothing.
  bool ProducersChanged() const { return producers_changed_.load(std::memory_order_acquire); }
  std::vector<uint32_t> TakeProducers();  // all processes that hand off
  // Of one process in the order in which it handed them off.
  std::vector<std::unique_ptr<HandedSpan>> TakeSpans();

  // Hand-off thread.
  bool Observed(uint32_t tgid) const;
  void AddProducer(uint32_t tgid, int change);
  // Takes spans from the front of `spans` (with their connections) and returns how many.
  size_t Offer(uint32_t tgid, std::vector<Span>& spans, const std::vector<SpanConnection>& connections,
               uint64_t mono_ns, uint64_t wall_minus_mono_ns);

 private:
  struct Process {
    int producers = 0;
    size_t spans = 0;  // waiting here
    size_t bytes = 0;
    uint64_t second = 0;
    uint64_t spans_this_second = 0;
  };
  static bool HasRoom(const Process& process, size_t all_spans, size_t all_bytes, size_t bytes);

  std::atomic<bool> producers_changed_{false};
  std::atomic<bool> spans_there_{false};
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<uint32_t, uint64_t> observed_ ABSL_GUARDED_BY(mutex_);  // when it ended; 0: it has not
  absl::flat_hash_map<uint32_t, Process> processes_ ABSL_GUARDED_BY(mutex_);  // those with producers
  std::vector<std::unique_ptr<HandedSpan>> spans_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spantap
