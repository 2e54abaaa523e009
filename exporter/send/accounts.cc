// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/accounts.h"

#include <algorithm>

namespace spantap {
namespace {

DropReason ReasonOf(SpoolLoss why) {
  switch (why) {
    case SpoolLoss::kEvicted:
      return DropReason::kSpoolFull;
    case SpoolLoss::kExpired:
      return DropReason::kSpoolExpired;
    case SpoolLoss::kDamaged:
      break;
  }
  return DropReason::kSpoolDamaged;
}

}  // namespace

void Accounts::Recovered(uint64_t n) {
  absl::MutexLock lock(&mutex_);
  if (ledger_ != nullptr) ledger_->Recovered(n);
}

void Accounts::Acknowledged(uint64_t n) {
  absl::MutexLock lock(&mutex_);
  if (ledger_ != nullptr) ledger_->Acknowledged(n);
}

void Accounts::Dropped(DropReason reason, uint64_t n) {
  absl::MutexLock lock(&mutex_);
  if (ledger_ != nullptr && n > 0) ledger_->Dropped(reason, n);
}

void Accounts::BeginSpooling(uint64_t n) {
  absl::MutexLock lock(&mutex_);
  if (ledger_ == nullptr) return;
  ledger_->Spooled(n);
  spooling_ += n;
}

void Accounts::EndSpooling(uint64_t n, bool spooled) {
  absl::MutexLock lock(&mutex_);
  if (ledger_ == nullptr) return;
  spooling_ -= n;
  if (!spooled) ledger_->Unspooled(n);
}

void Accounts::Unspooled(uint64_t n) {
  absl::MutexLock lock(&mutex_);
  if (ledger_ != nullptr) ledger_->Unspooled(n);
}

void Accounts::Lost(SpoolLoss why, uint64_t n) {
  absl::MutexLock lock(&mutex_);
  if (ledger_ == nullptr) return;
  ledger_->Unspooled(n);
  ledger_->Dropped(ReasonOf(why), n);
}

void Accounts::Log(absl::string_view line) {
  absl::MutexLock lock(&log_mutex_);
  if (log_) log_(line);
}

void Accounts::Abandon(SpanQueue& queue) {
  {
    absl::MutexLock lock(&mutex_);
    if (ledger_ == nullptr) return;
    // Of what is being spooled some may be settled already: between the write and EndSpooling().
    ledger_->Unspooled(std::min(spooling_, ledger_->Snapshot().spooled));
    queue.DropInFlight();
    ledger_ = nullptr;
  }
  absl::MutexLock lock(&log_mutex_);
  log_ = nullptr;
}

}  // namespace spantap
