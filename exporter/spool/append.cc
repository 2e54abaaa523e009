// SPDX-License-Identifier: Apache-2.0
//
// Batches onto the disk: room for them, the segment they go to, and what is undone when the disk refuses.
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "exporter/otlp/request_wire.h"
#include "exporter/spool/disk_spool.h"
#include "exporter/spool/file_io.h"
#include "exporter/spool/segment.h"

namespace spantap {
namespace {

constexpr int kNameTries = 16;

uint64_t WallNs(absl::Time time) { return static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixNanos(time), 0)); }

// Only has to differ from what batches contain; getrandom() fails nowhere but on a machine that just started.
uint64_t RandomMark(uint64_t fallback) {
  uint64_t mark = 0;
  if (getrandom(&mark, sizeof(mark), GRND_NONBLOCK) != static_cast<ssize_t>(sizeof(mark))) mark = fallback;
  return mark;
}

}  // namespace

absl::Status DiskSpool::Append(absl::string_view request, uint64_t spans) {
  if (absl::Status status = CheckBatch(request, spans); !status.ok()) return status;
  absl::MutexLock lock(&mutex_);
  Expire();
  DeleteFinished();
  if (absl::Status status = MakeRoom(request.size()); !status.ok()) {
    Report(write_trouble_, EDQUOT);
    return status;
  }
  int error = FitsActive(request.size()) ? 0 : BeginSegment();
  if (error == 0) {
    error = WriteRecord(request, static_cast<uint32_t>(spans));
    if (error != 0) GiveUpActive();
  }
  Report(write_trouble_, error);
  if (error != 0) return absl::ErrnoToStatus(error, absl::StrCat("spool ", settings_.dir, ": cannot write"));
  return absl::OkStatus();
}

// What is stored is what the next run will count, so it is checked with the same eyes.
absl::Status DiskSpool::CheckBatch(absl::string_view request, uint64_t spans) const {
  if (request.size() > kMaxBodyBytes || kSegmentHeaderBytes + RecordBytes(request.size()) > settings_.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("spool ", settings_.dir, ": a batch of ", request.size(), " bytes is larger than the spool"));
  }
  if (spans == 0 || CountSpans(request) != spans) {
    return absl::InvalidArgumentError(absl::StrCat("spool ", settings_.dir, ": not a request with ", spans, " spans"));
  }
  return absl::OkStatus();
}

bool DiskSpool::FitsActive(uint64_t body_bytes) const {
  if (!active_.valid()) return false;
  const Segment& segment = backlog_.segments().back();
  if (segment.bytes + RecordBytes(body_bytes) > settings_.segment_bytes) return false;
  if (segment.records.size() == kMaxRecords) return false;
  // A file that somebody deleted can be written to, but not found again.
  struct stat info;
  return fstat(active_.get(), &info) == 0 && info.st_nlink > 0;
}

// Whole segments, the oldest first; one of which a batch is being sent is passed over. A segment that cannot be
// deleted ends it: nothing is given up for no room.
absl::Status DiskSpool::MakeRoom(uint64_t body_bytes) {
  for (;;) {
    const uint64_t needed = RecordBytes(body_bytes) + (FitsActive(body_bytes) ? 0 : kSegmentHeaderBytes);
    const bool fits = backlog_.bytes() + needed <= settings_.max_bytes && backlog_.batches() < settings_.max_batches &&
                      backlog_.segments().size() < SpoolFolder::kMaxListed;
    if (fits) return absl::OkStatus();
    auto& segments = backlog_.segments();
    const auto oldest = std::find_if(segments.begin(), segments.end(), [](const Segment& s) { return s.taken == 0; });
    if (oldest == segments.end()) {
      return absl::ResourceExhaustedError(absl::StrCat("spool ", settings_.dir, ": full of batches being sent"));
    }
    const uint64_t spans = oldest->spans;
    const int error = Delete(*oldest);
    Report(tidy_trouble_, error);
    if (error != 0) return absl::ErrnoToStatus(error, absl::StrCat("spool ", settings_.dir, ": cannot make room"));
    Lose(SpoolLoss::kEvicted, spans);
  }
}

// An empty file; its header is written together with the first record.
int DiskSpool::BeginSegment() {
  active_.Reset();
  const uint64_t now_ns = std::min(WallNs(Now()), SpoolFolder::kMaxName / 2);
  uint64_t name = std::max(now_ns, last_name_ + 1);
  if (name >= SpoolFolder::kMaxName - kNameTries) name = now_ns;
  UniqueFd file;
  int error = EEXIST;
  for (int i = 0; i < kNameTries && error == EEXIST; ++i) {
    error = folder_.CreateSegment(name + static_cast<uint64_t>(i), &file);
    last_name_ = name + static_cast<uint64_t>(i);
  }
  if (error != 0) return error;
  Segment segment;
  segment.name = last_name_;
  segment.mark = RandomMark(last_name_ ^ reinterpret_cast<uintptr_t>(this));
  backlog_.Add(std::move(segment));
  active_ = std::move(file);
  return 0;
}

int DiskSpool::WriteRecord(absl::string_view request, uint32_t spans) {
  Segment& segment = backlog_.segments().back();
  const bool fresh = segment.bytes == 0;
  const uint64_t wall_ns = WallNs(Now());
  const std::string file_header = fresh ? EncodeSegmentHeader({kSegmentVersion, wall_ns, segment.mark}) : std::string();
  const std::string header = EncodeRecordHeader(segment.mark, wall_ns, spans, request);
  const uint64_t begin = segment.bytes + file_header.size();
  const uint64_t end = begin + RecordBytes(request.size());
  const std::string padding(end - begin - header.size() - request.size(), '\0');
  int error = WriteAt(active_.get(), segment.bytes, {file_header, header, request, padding});
  if (error == 0 && fdatasync(active_.get()) != 0) error = errno;
  if (error == 0 && fresh) error = folder_.Sync();
  if (error != 0) return error;
  const auto body_bytes = static_cast<uint32_t>(request.size());
  backlog_.AddRecord(segment, {wall_ns, static_cast<uint32_t>(begin), body_bytes, spans, SegmentRecord::kReady}, end);
  return 0;
}

// After a failed write or sync nobody knows what of it is on disk: the segment is cut back to what was good before and
// never written to again. If even that fails, the next start may find the batch there and send it once more.
void DiskSpool::GiveUpActive() {
  Segment& segment = backlog_.segments().back();
  const bool fresh = segment.bytes == 0;
  if (!fresh && ftruncate(active_.get(), static_cast<off_t>(segment.bytes)) != 0) Report(tidy_trouble_, errno);
  active_.Reset();
  if (fresh) Report(tidy_trouble_, Delete(segment));
}

}  // namespace spantap
