// SPDX-License-Identifier: Apache-2.0
//
// A Spool in memory that can be full, fail, lose things or hang. For the tests of the exporter.
//
// Owned by the exporter under test; the test keeps the shared FakeDisk, which also stands for what is left behind for
// the next run.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "exporter/spool/spool.h"

namespace spantap {

class FakeDisk {
 public:
  struct Record {
    std::string request;
    uint64_t spans;
  };

  void Fail(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    failure_ = std::move(status);
  }
  // Each Append() takes this long.
  void SlowDown(absl::Duration takes) {
    absl::MutexLock lock(&mutex_);
    takes_ = takes;
  }
  // Reading fails: they are there and cannot be taken.
  void HideRecords(bool hidden) {
    absl::MutexLock lock(&mutex_);
    hidden_ = hidden;
  }
  // The oldest are lost for new ones beyond this many.
  void LimitBatches(size_t n) {
    absl::MutexLock lock(&mutex_);
    max_batches_ = n;
  }
  // As a limit or damage would, with the spool's lock held.
  void LoseOldest(SpoolLoss why) {
    absl::MutexLock lock(&mutex_);
    if (records_.empty()) return;
    lost_(why, records_.begin()->second.spans);
    taken_.erase(records_.begin()->first);
    records_.erase(records_.begin());
  }
  void Add(std::string request, uint64_t spans) {
    absl::MutexLock lock(&mutex_);
    records_[next_id_++] = {std::move(request), spans};
  }
  uint64_t spans() {
    absl::MutexLock lock(&mutex_);
    uint64_t n = 0;
    for (const auto& [id, record] : records_) n += record.spans;
    return n;
  }
  size_t batches() {
    absl::MutexLock lock(&mutex_);
    return records_.size();
  }
  std::vector<Record> records() {
    absl::MutexLock lock(&mutex_);
    std::vector<Record> all;
    for (const auto& [id, record] : records_) all.push_back(record);
    return all;
  }
  bool open() {
    absl::MutexLock lock(&mutex_);
    return lost_ != nullptr;
  }
  int appends() {
    absl::MutexLock lock(&mutex_);
    return appends_;
  }

 private:
  friend class FakeSpool;
  absl::Mutex mutex_;
  Spool::LossFn lost_ ABSL_GUARDED_BY(mutex_);  // of the spool that is open
  std::map<uint64_t, Record> records_ ABSL_GUARDED_BY(mutex_);
  std::set<uint64_t> taken_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  size_t max_batches_ ABSL_GUARDED_BY(mutex_) = SIZE_MAX;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Duration takes_ ABSL_GUARDED_BY(mutex_);
  bool hidden_ ABSL_GUARDED_BY(mutex_) = false;
  int appends_ ABSL_GUARDED_BY(mutex_) = 0;
};

class FakeSpool final : public Spool {
 public:
  FakeSpool(std::shared_ptr<FakeDisk> disk, LossFn lost) : disk_(std::move(disk)), recovered_(disk_->spans()) {
    absl::MutexLock lock(&disk_->mutex_);
    disk_->lost_ = std::move(lost);
  }
  ~FakeSpool() override {
    absl::MutexLock lock(&disk_->mutex_);
    disk_->taken_.clear();
    disk_->lost_ = nullptr;
  }

  uint64_t recovered_spans() const override { return recovered_; }

  absl::Status Append(absl::string_view request, uint64_t spans) override {
    FakeDisk& d = *disk_;
    absl::Duration takes;
    {
      absl::MutexLock lock(&d.mutex_);
      ++d.appends_;
      takes = d.takes_;
    }
    absl::SleepFor(takes);
    absl::MutexLock lock(&d.mutex_);
    if (!d.failure_.ok()) return d.failure_;
    d.records_[d.next_id_++] = {std::string(request), spans};
    while (d.records_.size() > d.max_batches_) {
      d.lost_(SpoolLoss::kEvicted, d.records_.begin()->second.spans);
      d.taken_.erase(d.records_.begin()->first);
      d.records_.erase(d.records_.begin());
    }
    return absl::OkStatus();
  }

  std::optional<Entry> Take() override {
    FakeDisk& d = *disk_;
    absl::MutexLock lock(&d.mutex_);
    if (d.hidden_) return std::nullopt;
    for (const auto& [id, record] : d.records_) {
      if (d.taken_.insert(id).second) return Entry{id, record.request, record.spans};
    }
    return std::nullopt;
  }
  bool Done(uint64_t id) override {
    absl::MutexLock lock(&disk_->mutex_);
    disk_->taken_.erase(id);
    return disk_->records_.erase(id) == 1;
  }
  void PutBack(uint64_t id) override {
    absl::MutexLock lock(&disk_->mutex_);
    disk_->taken_.erase(id);
  }
  Stats stats() const override {
    Stats stats;
    stats.spans = disk_->spans();
    stats.batches = disk_->batches();
    return stats;
  }

 private:
  const std::shared_ptr<FakeDisk> disk_;  // shared with the test, which outlives the exporter or not
  const uint64_t recovered_;
};

}  // namespace spantap
