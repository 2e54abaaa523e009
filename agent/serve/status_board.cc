// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/status_board.h"

#include <utility>

#include "base/clock.h"

namespace spantap {

void StatusBoard::Begin(const Ledger& ledger) {
  Turn(MonoNs());
  next_publish_ns_ = 0;
  absl::MutexLock lock(&mutex_);
  ledger_ = &ledger;
  exporter_ = nullptr;
  status_ = RunStatus{};
  status_.reloads = runs_++;
}

void StatusBoard::SetExporter(const Exporter* exporter) {
  absl::MutexLock lock(&mutex_);
  exporter_ = exporter;
}

void StatusBoard::SetPhase(Phase phase) {
  Turn(MonoNs());
  absl::MutexLock lock(&mutex_);
  status_.phase = phase;
}

void StatusBoard::End() {
  absl::MutexLock lock(&mutex_);
  Refresh(status_);
  ledger_ = nullptr;
  exporter_ = nullptr;
}

void StatusBoard::Publish(uint64_t mono_ns, EventStatus events) {
  next_publish_ns_ = mono_ns + kPublishNs;
  absl::MutexLock lock(&mutex_);
  status_.events = std::move(events);
}

// Under the lock, because End() may come from another thread while the exporter is asked.
void StatusBoard::Refresh(RunStatus& status) const {
  if (ledger_ != nullptr) status.spans = ledger_->Snapshot();
  if (exporter_ != nullptr) status.exporter = exporter_->status();
}

RunStatus StatusBoard::Read(uint64_t mono_ns) const {
  absl::MutexLock lock(&mutex_);
  RunStatus status = status_;
  Refresh(status);
  status.turn_age_s = absl::ToDoubleSeconds(TurnAge(mono_ns));
  return status;
}

absl::Duration StatusBoard::TurnAge(uint64_t mono_ns) const {
  const uint64_t turn_ns = turn_ns_.load(std::memory_order_relaxed);
  return mono_ns > turn_ns ? absl::Nanoseconds(mono_ns - turn_ns) : absl::ZeroDuration();
}

}  // namespace spantap
