// SPDX-License-Identifier: Apache-2.0
#include "exporter/spool/disk_spool.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "exporter/spool/file_io.h"
#include "exporter/spool/segment.h"

namespace spantap {
namespace {

constexpr int kMaxReadFailures = 3;     // of one batch; then it counts as damaged
constexpr int kMaxDamagedPerTake = 64;  // so that Take() ends soon on a disk that is garbage
constexpr int kMaxDeletesPerCall = 8;

}  // namespace

Spool::~Spool() = default;

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(const Settings& settings, LossFn lost, LogFn log) {
  absl::StatusOr<SpoolFolder> folder = SpoolFolder::Open(settings.dir);
  if (!folder.ok()) return folder.status();
  Settings usable = settings;
  const uint64_t largest = std::min(settings.max_bytes / 8, kMaxSegmentBytes - RecordBytes(kMaxBodyBytes));
  usable.segment_bytes = std::max(std::min(settings.segment_bytes, largest), DiskSpool::kMinSegmentBytes);
  auto spool = std::make_unique<DiskSpool>(usable, *std::move(folder), std::move(lost), std::move(log));
  spool->Recover();
  return spool;
}

DiskSpool::DiskSpool(const Settings& settings, SpoolFolder folder, LossFn lost, LogFn log)
    : settings_(settings), lost_(std::move(lost)), log_(std::move(log)), folder_(std::move(folder)) {}

std::optional<Spool::Entry> DiskSpool::Take() {
  absl::MutexLock lock(&mutex_);
  Expire();
  for (int i = 0; i < kMaxDamagedPerTake; ++i) {
    const Backlog::Place place = backlog_.FirstReady();
    if (!place) return std::nullopt;
    Entry entry{place.id(), {}, place.record->spans};
    switch (Read(place, &entry.request)) {
      case ReadResult::kGood:
        Report(read_trouble_, 0);
        backlog_.Take(place);
        return entry;
      case ReadResult::kDamaged:
        LoseDamaged(place);
        break;
      case ReadResult::kGone:
        LoseMissing(*place.segment);
        break;
      case ReadResult::kLater:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

bool DiskSpool::Done(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  const Backlog::Place place = backlog_.Find(id);
  if (!place) return false;
  UniqueFd file;
  int error = folder_.OpenSegment(place.segment->name, &file);
  if (error == 0) error = MarkDone(file.get(), *place.record);
  if (error == ENOENT) error = 0;
  backlog_.Settle(place);
  // Once the file is gone nothing is left that could come back.
  if (place.segment->open == 0) error = Delete(*place.segment);
  Report(tidy_trouble_, error);
  return true;
}

void DiskSpool::PutBack(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  const Backlog::Place place = backlog_.Find(id);
  if (place) backlog_.PutBack(place);
}

Spool::Stats DiskSpool::stats() const {
  absl::MutexLock lock(&mutex_);
  Stats stats = counts_;
  stats.batches = backlog_.batches();
  stats.spans = backlog_.spans();
  stats.bytes = backlog_.bytes();
  stats.segments = backlog_.segments().size();
  stats.append_errors = write_trouble_.count;
  stats.other_errors = read_trouble_.count + tidy_trouble_.count;
  return stats;
}

// The batch itself, checked again: the disk may have changed since it was counted.
DiskSpool::ReadResult DiskSpool::Read(Backlog::Place place, std::string* request) {
  UniqueFd file;
  int error = folder_.OpenSegment(place.segment->name, &file);
  if (error == ENOENT) return ReadResult::kGone;
  const SegmentRecord& record = *place.record;
  std::string bytes;
  if (error == 0) error = ReadAt(file.get(), record.offset, kRecordHeaderBytes, &bytes);
  if (error == 0) error = ReadAt(file.get(), record.offset + kRecordHeaderBytes, record.body_bytes, request);
  if (error != 0) return ReadFailed(place.id(), error);
  const auto header = DecodeRecordHeader(bytes);
  const bool same = header.has_value() && header->mark == place.segment->mark && header->spans == record.spans;
  return same && BodyMatches(*header, *request) ? ReadResult::kGood : ReadResult::kDamaged;
}

// Transient perhaps (no descriptors left), or the disk: so it is tried again by later calls, a few times.
DiskSpool::ReadResult DiskSpool::ReadFailed(uint64_t id, int error) {
  Report(read_trouble_, error);
  failures_ = failing_id_ == id ? failures_ + 1 : 1;
  failing_id_ = id;
  const bool for_now = error == EMFILE || error == ENFILE || error == ENOMEM;
  return for_now || failures_ < kMaxReadFailures ? ReadResult::kLater : ReadResult::kDamaged;
}

int DiskSpool::MarkDone(int fd, const SegmentRecord& record) {
  static_assert(kStateDone == ~uint64_t{0}, "the same bytes in any order");
  const absl::string_view done(reinterpret_cast<const char*>(&kStateDone), sizeof(kStateDone));
  return WriteAt(fd, record.offset + kStateOffset, {done});
}

void DiskSpool::LoseDamaged(Backlog::Place place) {
  const uint64_t spans = place.record->spans;
  CountDamage(*place.segment);
  backlog_.Settle(place);
  if (place.segment->open == 0) Report(tidy_trouble_, Delete(*place.segment));
  Lose(SpoolLoss::kDamaged, spans);
}

// Somebody deleted the file. What is taken is still in somebody's hands.
void DiskSpool::LoseMissing(Segment& segment) {
  Report(read_trouble_, ENOENT);
  uint64_t spans = 0;
  for (SegmentRecord& record : segment.records) {
    if (record.state != SegmentRecord::kReady) continue;
    spans += record.spans;
    backlog_.Settle({&segment, &record});
  }
  if (segment.open == 0) Report(tidy_trouble_, Delete(segment));
  Lose(SpoolLoss::kDamaged, spans);
}

void DiskSpool::CountDamage(Segment& segment) {
  if (segment.damaged) return;
  segment.damaged = true;
  ++counts_.damaged_segments;
  counts_.damaged_bytes += segment.bytes;
  const bool often = (counts_.damaged_segments & (counts_.damaged_segments - 1)) != 0;
  if (often) return;
  log_(absl::StrCat("spool ", settings_.dir, ": damaged segments: ", counts_.damaged_segments, "; what is intact ",
                    "in them is sent, then they are kept for a while with the suffix .damaged"));
}

bool DiskSpool::Expired(const SegmentRecord& record, absl::Time now) const {
  const int64_t wall_ns = static_cast<int64_t>(std::min<uint64_t>(record.wall_ns, INT64_MAX));
  return now - absl::FromUnixNanos(wall_ns) > settings_.max_age;
}

// From the oldest on, up to the first that is young enough. The word on disk keeps a restart from counting it again.
void DiskSpool::Expire() {
  const absl::Time now = Now();
  uint64_t spans = 0;
  for (Backlog::Place place = backlog_.FirstReady(); place && Expired(*place.record, now);) {
    Segment& segment = *place.segment;
    UniqueFd file;
    int error = folder_.OpenSegment(segment.name, &file);
    for (; place && place.segment == &segment && Expired(*place.record, now); place = backlog_.FirstReady()) {
      if (error == 0) error = MarkDone(file.get(), *place.record);
      spans += place.record->spans;
      backlog_.Settle(place);
    }
    if (segment.open == 0) {
      error = Delete(segment);
      place = backlog_.FirstReady();
    }
    if (error != ENOENT) Report(tidy_trouble_, error);
  }
  Lose(SpoolLoss::kExpired, spans);
}

bool DiskSpool::Sealed(const Segment& segment) const {
  return !active_.valid() || &segment != &backlog_.segments().back();
}

// The file goes, with whatever is open in it, and its place in the backlog. An error leaves both as they are.
int DiskSpool::Delete(Segment& segment) {
  const int error = segment.damaged ? folder_.SetAside(segment.name) : folder_.Remove(segment.name);
  if (error != 0) return error;
  if (segment.damaged) damaged_.push_back(segment.name);
  if (!Sealed(segment)) active_.Reset();
  backlog_.Remove(segment);
  PruneDamaged();
  // Without it, a power cut may bring the file back: its batches are sent again, none is lost.
  folder_.Sync();
  return 0;
}

// Those that could not be deleted when they were done with.
void DiskSpool::DeleteFinished() {
  for (int i = 0; i < kMaxDeletesPerCall; ++i) {
    auto& segments = backlog_.segments();
    const auto finished = std::find_if(segments.begin(), segments.end(), [](const Segment& s) { return s.open == 0; });
    if (finished == segments.end()) return;
    const int error = Delete(*finished);
    Report(tidy_trouble_, error);
    if (error != 0) return;
  }
}

void DiskSpool::Lose(SpoolLoss why, uint64_t spans) {
  if (spans > 0) lost_(why, spans);
}

void DiskSpool::Report(Trouble& trouble, int error) {
  if (error != 0) ++trouble.count;
  if ((error != 0) == trouble.now) return;
  trouble.now = error != 0;
  const std::string dir = absl::StrCat("spool ", settings_.dir, ": ");
  log_(trouble.now
           ? absl::StrCat(dir, trouble.what, " (", absl::ErrnoToStatus(error, "").ToString(), "); ", trouble.meanwhile)
           : absl::StrCat(dir, "works again (before: ", trouble.what, ", ", trouble.count, " times)"));
}

}  // namespace spantap
