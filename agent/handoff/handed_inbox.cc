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
  if (before != after) producers_changed_.store(true, std::memory_order_release);
}

bool HandedInbox::HasRoom(const Process& process, size_t all_spans, size_t all_bytes, size_t bytes) {
  return all_spans < kMaxSpans && process.spans < kMaxSpans / kShares && all_bytes + bytes <= kMaxBytes &&
         process.bytes + bytes <= kMaxBytes / kShares && process.spans_this_second < kSpansPerSecond;
}

size_t HandedInbox::Offer(uint32_t tgid, std::vector<Span>& spans, const std::vector<SpanConnection>& connections,
                          uint64_t mono_ns, uint64_t wall_minus_mono_ns) {
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
    handed->wall_minus_mono_ns = wall_minus_mono_ns;
    spans_.push_back(std::move(handed));
  }
  if (taken > 0) spans_there_.store(true, std::memory_order_release);
  return taken;
}

std::vector<uint32_t> HandedInbox::TakeProducers() {
  absl::MutexLock lock(&mutex_);
  producers_changed_.store(false, std::memory_order_relaxed);
  std::vector<uint32_t> producers;
  for (const auto& [tgid, process] : processes_) {
    if (process.producers > 0) producers.push_back(tgid);
  }
  return producers;
}

std::vector<std::unique_ptr<HandedSpan>> HandedInbox::TakeSpans() {
  if (!spans_there_.load(std::memory_order_acquire)) return {};
  absl::MutexLock lock(&mutex_);
  spans_there_.store(false, std::memory_order_relaxed);
  bytes_ = 0;
  absl::erase_if(processes_, [](const auto& entry) { return entry.second.producers <= 0; });
  for (auto& [tgid, process] : processes_) process.spans = process.bytes = 0;
  return std::exchange(spans_, {});
}

}  // namespace spantap
