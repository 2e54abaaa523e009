// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/handed_inbox.h"

#include <utility>

namespace spantap {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr size_t kShares = 4;  // what one process may fill is this fraction

}  // namespace

void HandedInbox::Observe(uint32_t tgid) {
  absl::MutexLock lock(&mutex_);
  if (observed_.size() >= kMaxProcesses && !observed_.contains(tgid)) return;
  observed_[tgid] = 0;
}

void HandedInbox::ObserveEnd(uint32_t tgid, uint64_t mono_ns) {
  absl::MutexLock lock(&mutex_);
  const auto found = observed_.find(tgid);
  if (found != observed_.end()) found->second = mono_ns;
  absl::erase_if(observed_,
                 [mono_ns](const auto& entry) { return entry.second != 0 && entry.second + kDoubtNs < mono_ns; });
}

bool HandedInbox::Observed(uint32_t tgid) const {
  absl::MutexLock lock(&mutex_);
  return observed_.contains(tgid);
}

void HandedInbox::AddProducer(uint32_t tgid, int change) {
  absl::MutexLock lock(&mutex_);
  Process& process = processes_[tgid];
  const bool before = process.producers > 0;
  process.producers += change;
  const bool after = process.producers > 0;
  if (!after && process.spans == 0) processes_.erase(tgid);
  if (before == after) return;
  producers_changed_ = true;
  something_.store(true, std::memory_order_release);
}

bool HandedInbox::HasRoom(const Process& process, size_t all_spans, size_t all_bytes, size_t bytes) {
  return all_spans < kMaxSpans && process.spans < kMaxSpans / kShares && all_bytes + bytes <= kMaxBytes &&
         process.bytes + bytes <= kMaxBytes / kShares && process.spans_this_second < kSpansPerSecond;
}

size_t HandedInbox::Offer(uint32_t tgid, std::vector<Span>& spans, const std::vector<SpanConnection>& connections,
                          uint64_t mono_ns) {
  absl::MutexLock lock(&mutex_);
  Process& process = processes_[tgid];
  if (process.second != mono_ns / kSecondNs) {
    process.second = mono_ns / kSecondNs;
    process.spans_this_second = 0;
  }
  size_t taken = 0;
  for (; taken < spans.size(); ++taken) {
    const size_t bytes = spans[taken].ApproximateBytes();
    if (!HasRoom(process, spans_.size(), bytes_, bytes)) break;
    ++process.spans;
    ++process.spans_this_second;
    process.bytes += bytes;
    bytes_ += bytes;
    auto handed = std::make_unique<HandedSpan>();
    handed->span = std::move(spans[taken]);
    handed->connection = connections[taken];
    handed->tgid = tgid;
    spans_.push_back(std::move(handed));
  }
  if (taken > 0) something_.store(true, std::memory_order_release);
  return taken;
}

HandedInbox::Taken HandedInbox::Take() {
  Taken taken;
  if (!something_.load(std::memory_order_acquire)) return taken;
  absl::MutexLock lock(&mutex_);
  something_.store(false, std::memory_order_relaxed);
  taken.spans = std::exchange(spans_, {});
  bytes_ = 0;
  taken.producers_changed = std::exchange(producers_changed_, false);
  for (auto at = processes_.begin(); at != processes_.end();) {
    Process& process = at->second;
    process.spans = process.bytes = 0;
    if (process.producers > 0) {
      if (taken.producers_changed) taken.producers.push_back(at->first);
      ++at;
    } else {
      processes_.erase(at++);
    }
  }
  return taken;
}

}  // namespace spantap
