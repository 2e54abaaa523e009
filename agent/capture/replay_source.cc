// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/capture/record_check.h"
#include "agent/capture/record_file.h"
#include "agent/capture/record_format.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace spantap {
namespace {

constexpr size_t kReadBufferBytes = 512 * 1024;
constexpr uint32_t kMaxFileHeaderBytes = 4096;
constexpr int kBatch = 1024;
constexpr size_t kOpenBytesVersion1 = offsetof(spantap_open_event, turns);
static_assert(kReadBufferBytes >= 2 * kMaxRecordBytes);

ssize_t ReadRetrying(int fd, char* data, size_t bytes) {
  ssize_t got;
  do {
    got = read(fd, data, bytes);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

struct ReplaySource::State {
  std::string path;
  UniqueFd fd;
  // Records are multiples of 8 long and the buffer is moved by multiples of 8: every record is aligned.
  std::vector<uint64_t> storage = std::vector<uint64_t>(kReadBufferBytes / sizeof(uint64_t));
  size_t begin = 0, end = 0;
  bool at_eof = false, finished = false, truncated = false;
  uint64_t last_time_ns = 0;
  uint64_t records = 0;
  SourceCounters counters;
  spantap_open_event completed = {};

  char* data() { return reinterpret_cast<char*>(storage.data()); }
  size_t available() const { return end - begin; }

  // Makes `bytes` (at most half the buffer) available; false at the file's end.
  absl::StatusOr<bool> Need(size_t bytes) {
    while (available() < bytes && !at_eof) {
      if (begin + bytes > kReadBufferBytes) {
        memmove(data(), data() + begin, available());
        end -= begin;
        begin = 0;
      }
      const ssize_t got = ReadRetrying(fd.get(), data() + end, kReadBufferBytes - end);
      if (got < 0) return RecordFileError(errno, "read", path);
      at_eof = got == 0;
      end += static_cast<size_t>(got);
    }
    return available() >= bytes;
  }

  void End(bool cut) {
    finished = true;
    truncated = cut;
  }

  absl::Status ReadFileHeader() {
    SPANTAP_ASSIGN_OR_RETURN(const bool whole, Need(sizeof(RecordFileHeader)));
    RecordFileHeader header = {};
    memcpy(&header, data(), std::min(available(), sizeof(header)));
    if (!whole || memcmp(header.magic, kRecordFileMagic, sizeof(kRecordFileMagic)) != 0) {
      return absl::InvalidArgumentError(absl::StrCat(path, " is not a spantap record file"));
    }
    if (header.event_version < SPANTAP_EVENT_VERSION_OLDEST || header.event_version > SPANTAP_EVENT_VERSION) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, " was written by event version ", header.event_version, ", this spantap reads ",
          SPANTAP_EVENT_VERSION_OLDEST, " to ", SPANTAP_EVENT_VERSION, ": replay it with the spantap that wrote it"));
    }
    const bool sane = header.header_bytes >= sizeof(header) && header.header_bytes <= kMaxFileHeaderBytes;
    if (!sane || header.header_bytes % 8 != 0) {
      return absl::InvalidArgumentError(absl::StrCat(path, " has a damaged header"));
    }
    SPANTAP_ASSIGN_OR_RETURN(const bool skipped, Need(header.header_bytes));
    begin = skipped ? header.header_bytes : end;
    if (!skipped) End(true);
    return absl::OkStatus();
  }

  // The next whole record; empty at the end of what can be read.
  absl::StatusOr<absl::string_view> Next() {
    SPANTAP_ASSIGN_OR_RETURN(const bool header_there, Need(sizeof(spantap_event_header)));
    if (!header_there) {
      End(available() > 0);
      return absl::string_view();
    }
    const uint32_t size = reinterpret_cast<const spantap_event_header*>(data() + begin)->size;
    if (size < sizeof(spantap_event_header) || size > kMaxRecordBytes) {
      End(true);
      return absl::string_view();
    }
    SPANTAP_ASSIGN_OR_RETURN(const bool padding_there, Need(PaddedRecordBytes(size)));
    if (available() < size) {
      End(true);
      return absl::string_view();
    }
    const absl::string_view record(data() + begin, size);
    begin += padding_there ? PaddedRecordBytes(size) : available();
    if (!padding_there) End(true);  // delivered, being whole, but the file was cut
    ++records;
    return record;
  }

  void TakeLoss(const spantap_loss_event& loss) {
    counters.drop_ring_full = loss.counters[SPANTAP_COUNT_DROP_RING_FULL];
    counters.drop_conn_state = loss.counters[SPANTAP_COUNT_DROP_CONN_STATE];
    counters.unreadable = loss.counters[SPANTAP_COUNT_UNREADABLE];
    counters.task32 = loss.counters[SPANTAP_COUNT_TASK32];
    counters.foreign_frame = loss.counters[SPANTAP_COUNT_FOREIGN_FRAME];
    counters.iovecs = loss.counters[SPANTAP_COUNT_IOVECS];
  }

  // A record of an earlier version gets the fields it lacks, as 0; behind us every struct is whole.
  absl::string_view Complete(absl::string_view record) {
    const bool open = reinterpret_cast<const spantap_event_header*>(record.data())->type == SPANTAP_EVENT_OPEN;
    if (!open || record.size() < kOpenBytesVersion1 || record.size() >= sizeof(completed)) return record;
    completed = {};
    memcpy(&completed, record.data(), record.size());
    completed.header.size = sizeof(completed);
    return absl::string_view(reinterpret_cast<const char*>(&completed), sizeof(completed));
  }

  // True if it was delivered.
  bool Deliver(absl::string_view stored, EventSink& sink) {
    const absl::string_view record = Complete(stored);
    if (CheckRecord(record) != RecordVerdict::kGood) {
      ++counters.drop_malformed;
      return false;
    }
    const EventView event{reinterpret_cast<const spantap_event_header*>(record.data()), record};
    if (event.header->mono_ns > last_time_ns) {
      last_time_ns = event.header->mono_ns;
      sink.OnTime(last_time_ns);
    }
    if (event.header->type == SPANTAP_EVENT_LOSS) TakeLoss(event.As<spantap_loss_event>());
    if (event.header->type < SPANTAP_EVENT_PROCESS) ++counters.delivered;
    sink.OnEvent(event);
    return true;
  }
};

ReplaySource::ReplaySource(std::unique_ptr<State> state) : state_(std::move(state)) {}
ReplaySource::~ReplaySource() = default;

absl::StatusOr<std::unique_ptr<ReplaySource>> ReplaySource::Open(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->fd.Reset(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!state->fd.valid()) return RecordFileError(errno, "read", path);
  SPANTAP_RETURN_IF_ERROR(state->ReadFileHeader());
  return std::unique_ptr<ReplaySource>(new ReplaySource(std::move(state)));
}

absl::StatusOr<int> ReplaySource::Poll(EventSink& sink, int) {
  int delivered = 0;
  for (int i = 0; i < kBatch && !state_->finished; ++i) {
    SPANTAP_ASSIGN_OR_RETURN(const absl::string_view record, state_->Next());
    if (!record.empty() && state_->Deliver(record, sink)) ++delivered;
  }
  return delivered;
}

bool ReplaySource::Finished() const { return state_->finished; }
void ReplaySource::Order(uint64_t, const spantap_order&) {}

SourceCounters ReplaySource::Counters() const {
  SourceCounters counters = state_->counters;
  counters.captured = counters.delivered + counters.drop_ring_full + counters.drop_conn_state + counters.drop_malformed;
  return counters;
}

void ReplaySource::StopCapture() { state_->finished = true; }
bool ReplaySource::Truncated() const { return state_->truncated; }
uint64_t ReplaySource::records() const { return state_->records; }

}  // namespace spantap
