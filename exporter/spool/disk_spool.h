// SPDX-License-Identifier: Apache-2.0
//
// The spool that Spool::Open() makes: segment.h's files in a SpoolFolder, with the Backlog in memory. README.md has
// the life of a batch and what each crash point leaves behind.
//
// Any thread; one mutex, held during disk I/O. A disk error is counted, logged when it begins and when it ends, and
// tried again at the next call: no call repeats anything by itself, so none hangs or spins on a broken disk.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "exporter/spool/backlog.h"
#include "exporter/spool/spool.h"
#include "exporter/spool/spool_folder.h"

namespace spantap {

class DiskSpool : public Spool {
 public:
  static constexpr size_t kMaxDamagedFiles = 8;  // kept to be looked at; then the oldest are deleted
  static constexpr uint64_t kDamagedShare = 8;   // and at most max_bytes / 8 of them
  static constexpr uint64_t kMinSegmentBytes = 4096;

  DiskSpool(const Settings& settings, SpoolFolder folder, LossFn lost, LogFn log);
  // Once, before all else.
  void Recover();

  uint64_t recovered_spans() const override { return recovered_spans_; }
  absl::Status Append(absl::string_view request, uint64_t spans) override;
  std::optional<Entry> Take() override;
  bool Done(uint64_t id) override;
  void PutBack(uint64_t id) override;
  Stats stats() const override;

 private:
  // One kind of failure: logged when it begins and when it ends.
  struct Trouble {
    absl::string_view what;
    absl::string_view meanwhile;
    uint64_t count = 0;
    bool now = false;
  };

  // recover.cc
  void RecoverSegment(uint64_t name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PruneDamaged() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LogRecovery(bool complete) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // append.cc
  absl::Status CheckBatch(absl::string_view request, uint64_t spans) const;
  absl::Status MakeRoom(uint64_t body_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool FitsActive(uint64_t body_bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int BeginSegment() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int WriteRecord(absl::string_view request, uint32_t spans) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveUpActive() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // disk_spool.cc
  bool Sealed(const Segment& segment) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int Delete(Segment& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DeleteFinished() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Expire() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Expired(const SegmentRecord& record, absl::Time now) const;
  enum class ReadResult : uint8_t { kGood, kDamaged, kGone, kLater };
  ReadResult Read(Backlog::Place place, std::string* request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ReadResult ReadFailed(uint64_t id, int error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int MarkDone(int fd, const SegmentRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LoseDamaged(Backlog::Place place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LoseMissing(Segment& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountDamage(Segment& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Lose(SpoolLoss why, uint64_t spans);
  void Report(Trouble& trouble, int error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Time Now() const { return settings_.clock ? settings_.clock() : absl::Now(); }

  const Settings settings_;
  const LossFn lost_;
  const LogFn log_;
  uint64_t recovered_spans_ = 0;

  mutable absl::Mutex mutex_;
  SpoolFolder folder_ ABSL_GUARDED_BY(mutex_);
  Backlog backlog_ ABSL_GUARDED_BY(mutex_);
  UniqueFd active_ ABSL_GUARDED_BY(mutex_);  // of the newest segment, while it is written to
  uint64_t last_name_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<uint64_t> damaged_ ABSL_GUARDED_BY(mutex_);  // names moved aside, oldest first
  uint64_t failing_id_ ABSL_GUARDED_BY(mutex_) = 0;       // of the batch that could not be read...
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;              // ...so many times
  Stats counts_ ABSL_GUARDED_BY(mutex_);                  // but for what the backlog knows
  Trouble write_trouble_ ABSL_GUARDED_BY(mutex_){"cannot write batches", "they stay in memory meanwhile"};
  Trouble read_trouble_ ABSL_GUARDED_BY(mutex_){"cannot read a batch", "it is tried again"};
  Trouble tidy_trouble_ ABSL_GUARDED_BY(mutex_){"cannot delete what is done",
                                                "it is tried again; a restart may send it once more"};
};

}  // namespace spantap
