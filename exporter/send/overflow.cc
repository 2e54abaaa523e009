// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/overflow.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "exporter/send/stop_state.h"

namespace spantap {
namespace {

constexpr absl::Duration kReadAgain = absl::Seconds(10);

}  // namespace

Overflow::Overflow(std::unique_ptr<Spool> spool, uint64_t bytes_per_s, Accounts& accounts, Wakeup& reader)
    : spool_(std::move(spool)), bytes_per_s_(bytes_per_s), accounts_(accounts), reader_(reader) {
  NoteStats();
}

void Overflow::Recover() {
  if (const uint64_t spans = spool_->recovered_spans(); spans > 0) accounts_.Recovered(spans);
}

bool Overflow::Store(absl::string_view request, uint64_t spans) {
  accounts_.BeginSpooling(spans);
  const absl::Status status = spool_->Append(request, spans);
  accounts_.EndSpooling(spans, status.ok());
  NoteStats();
  if (!status.ok()) return false;
  may_have_.store(true, std::memory_order_release);
  reader_.Signal();
  return true;
}

std::optional<Batch> Overflow::Take(uint64_t now_ns) {
  // Before the look: what is stored during it sets it again.
  may_have_.store(false, std::memory_order_release);
  std::optional<Spool::Entry> entry = spool_->Take();
  NoteStats();
  if (!entry.has_value()) {
    if (stats().batches > 0) {  // they could not be read: perhaps they can later
      may_have_.store(true, std::memory_order_release);
      due_ns_ = After(now_ns, kReadAgain);
    }
    return std::nullopt;
  }
  may_have_.store(true, std::memory_order_release);
  if (bytes_per_s_ > 0) {
    const double seconds = static_cast<double>(entry->request.size()) / static_cast<double>(bytes_per_s_);
    due_ns_ = std::max(due_ns_, now_ns) + static_cast<uint64_t>(seconds * 1e9);
  }
  return Batch{std::move(entry->request), entry->spans, entry->id};
}

bool Overflow::Done(uint64_t spool_id) {
  const bool done = spool_->Done(spool_id);
  NoteStats();
  return done;
}

void Overflow::PutBack(uint64_t spool_id) {
  spool_->PutBack(spool_id);
  may_have_.store(true, std::memory_order_release);
}

bool Overflow::Suspect(uint64_t spool_id, uint64_t delivered, absl::Duration pause) {
  if (suspect_id_ != spool_id) {
    strikes_ = 0;
  } else if (suspect_delivered_ != delivered) {
    ++strikes_;
  }
  suspect_id_ = spool_id;
  suspect_delivered_ = delivered;
  if (strikes_ > 0) due_ns_ = After(MonoNs(), pause * strikes_);
  return strikes_ >= kMostStrikes;
}

// Not under mutex_: stats() must not wait for the disk. In turn, so that an older copy never replaces a newer one.
void Overflow::NoteStats() {
  absl::MutexLock turn(&note_mutex_);
  const Spool::Stats stats = spool_->stats();
  absl::MutexLock lock(&mutex_);
  stats_ = stats;
}

Spool::Stats Overflow::stats() const {
  absl::MutexLock lock(&mutex_);
  return stats_;
}

}  // namespace spantap
