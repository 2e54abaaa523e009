// SPDX-License-Identifier: Apache-2.0
//
// What earlier runs left: each segment is scanned once, in order of age. Torn tails are cut, what is damaged is moved
// aside as soon as nothing in it waits any more, what a newer version wrote stays as it is.
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "exporter/spool/disk_spool.h"
#include "exporter/spool/file_io.h"

namespace spantap {

void DiskSpool::Recover() {
  absl::MutexLock lock(&mutex_);
  const SpoolFolder::Listing listing = folder_.List();
  bool complete = listing.complete;
  for (const uint64_t name : listing.damaged) {
    ++counts_.damaged_segments;
    counts_.damaged_bytes += folder_.DamagedBytes(name);
    damaged_.push_back(name);
    last_name_ = std::max(last_name_, name);
  }
  PruneDamaged();
  if (!listing.segments.empty()) last_name_ = std::max(last_name_, listing.segments.back());
  for (const uint64_t name : listing.segments) {
    if (backlog_.batches() >= settings_.max_batches) {
      complete = false;
      break;
    }
    RecoverSegment(name);
  }
  recovered_spans_ = backlog_.spans();
  LogRecovery(complete);
}

void DiskSpool::RecoverSegment(uint64_t name) {
  UniqueFd file;
  const int error = folder_.OpenSegment(name, &file);
  if (error == ENOENT || error == EPERM) return;  // not ours
  if (error != 0) return Report(read_trouble_, error);
  FileBytes bytes(file.get());
  SegmentScan scan = ScanSegment(bytes);
  if (scan.newer) {
    ++counts_.newer_segments;
    return;
  }
  Segment segment;
  segment.name = name;
  segment.mark = scan.mark;
  segment.bytes = bytes.size();
  segment.records = std::move(scan.records);
  if (scan.torn) {
    ++counts_.torn_segments;
    // Not cut (a read-only disk): found again at the next start, with the same result.
    if (ftruncate(file.get(), static_cast<off_t>(scan.end)) == 0) segment.bytes = scan.end;
  }
  Segment& added = backlog_.Add(std::move(segment));
  if (scan.damaged > 0) CountDamage(added);
  if (added.open == 0) Report(tidy_trouble_, Delete(added));
}

void DiskSpool::PruneDamaged() {
  uint64_t bytes = 0;
  for (const uint64_t name : damaged_) bytes += folder_.DamagedBytes(name);
  while (!damaged_.empty() && (damaged_.size() > kMaxDamagedFiles || bytes > settings_.max_bytes / kDamagedShare)) {
    bytes -= std::min(bytes, folder_.DamagedBytes(damaged_.front()));
    if (const int error = folder_.RemoveDamaged(damaged_.front()); error != 0) Report(tidy_trouble_, error);
    damaged_.pop_front();
  }
}

void DiskSpool::LogRecovery(bool complete) {
  const bool nothing = backlog_.batches() + counts_.torn_segments + counts_.newer_segments == 0;
  if (nothing && complete) return;
  std::string line = absl::StrCat("spool ", settings_.dir, ": found ", backlog_.spans(), " spans in ",
                                  backlog_.batches(), " batches; they are sent");
  if (counts_.torn_segments > 0) absl::StrAppend(&line, "; cut ", counts_.torn_segments, " interrupted writes");
  if (counts_.newer_segments > 0) {
    absl::StrAppend(&line, "; left ", counts_.newer_segments, " segments of a newer version untouched");
  }
  if (!complete) absl::StrAppend(&line, "; there is more than fits: the rest is looked at after the next start");
  log_(line);
}

}  // namespace spantap
