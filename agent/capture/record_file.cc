// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/record_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/capture/record_check.h"
#include "agent/capture/record_format.h"
#include "agent/capture/redactor.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace spantap {
namespace {

constexpr size_t kWriteBufferBytes = 128 * 1024;
// How much a killed recorder may lose.
constexpr uint64_t kFlushIntervalNs = 1'000'000'000;
static_assert(kWriteBufferBytes >= kMaxRecordBytes);

absl::StatusOr<UniqueFd> OpenForWriting(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600));
  if (!fd.valid() && errno == ELOOP) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot write ", path, ": it is a symbolic link; name the file itself"));
  }
  if (!fd.valid()) return RecordFileError(errno, "write", path);
  struct stat file;
  if (fstat(fd.get(), &file) != 0) return RecordFileError(errno, "write", path);
  if (!S_ISREG(file.st_mode)) return fd;
  if (file.st_uid != geteuid()) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot write ", path, ": it belongs to another user, who could read along; remove it first"));
  }
  if (fchmod(fd.get(), 0600) != 0 || ftruncate(fd.get(), 0) != 0) return RecordFileError(errno, "write", path);
  return fd;
}

}  // namespace

struct RecordWriter::State {
  std::string path;
  UniqueFd fd;
  std::unique_ptr<Redactor> redactor;  // null: with secrets
  std::vector<char> buffer = std::vector<char>(kWriteBufferBytes);
  size_t used = 0;
  uint64_t records = 0;
  uint64_t flushed_records = 0;
  uint64_t last_flush_ns = 0;
  absl::Status status;

  void Flush() {
    size_t done = 0;
    while (status.ok() && done < used) {
      const ssize_t wrote = write(fd.get(), buffer.data() + done, used - done);
      if (wrote >= 0) {
        done += static_cast<size_t>(wrote);
      } else if (errno != EINTR) {
        Fail(errno, done);
      }
    }
    if (status.ok()) flushed_records = records;
    used = 0;
  }

  // The records that were written whole before the error: those of the buffer's part that went out.
  void Fail(int error, size_t written) {
    for (size_t at = 0; at + sizeof(spantap_event_header) <= used;) {
      spantap_event_header header;
      memcpy(&header, buffer.data() + at, sizeof(header));
      at += PaddedRecordBytes(header.size);
      if (at > written) break;
      ++flushed_records;
    }
    records = flushed_records;
    status = RecordFileError(error, "write", path, absl::StrCat(" after ", records, " records"));
  }

  void Append(const EventView& event) {
    const size_t bytes = event.record.size();
    if (used + PaddedRecordBytes(bytes) > buffer.size()) Flush();
    if (!status.ok()) return;
    char* to = buffer.data() + used;
    memcpy(to, event.record.data(), bytes);
    memset(to + bytes, 0, PaddedRecordBytes(bytes) - bytes);
    if (redactor != nullptr) redactor->Redact(event, to);
    used += PaddedRecordBytes(bytes);
    ++records;
  }
};

RecordWriter::RecordWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}

RecordWriter::~RecordWriter() {
  if (state_->fd.valid()) state_->Flush();
}

absl::StatusOr<std::unique_ptr<RecordWriter>> RecordWriter::Create(const std::string& path, bool with_secrets) {
  auto state = std::make_unique<State>();
  state->path = path;
  SPANTAP_ASSIGN_OR_RETURN(state->fd, OpenForWriting(path));
  if (!with_secrets) state->redactor = std::make_unique<Redactor>();
  RecordFileHeader header = {{}, SPANTAP_EVENT_VERSION, sizeof(RecordFileHeader)};
  memcpy(header.magic, kRecordFileMagic, sizeof(kRecordFileMagic));
  // At once and on its own: an unwritable file is known before anything is captured.
  if (write(state->fd.get(), &header, sizeof(header)) != static_cast<ssize_t>(sizeof(header))) {
    return RecordFileError(errno, "write", path);
  }
  return std::unique_ptr<RecordWriter>(new RecordWriter(std::move(state)));
}

void RecordWriter::OnEvent(const EventView& event) {
  // What the reader would refuse is not worth a place, and the redactor relies on the sizes.
  if (state_->status.ok() && CheckRecord(event.record) == RecordVerdict::kGood) state_->Append(event);
}

void RecordWriter::OnTime(uint64_t mono_ns) {
  if (mono_ns - state_->last_flush_ns < kFlushIntervalNs) return;
  state_->last_flush_ns = mono_ns;
  state_->Flush();
}

absl::Status RecordWriter::Close() {
  if (!state_->fd.valid()) return state_->status;
  state_->Flush();
  if (close(state_->fd.Release()) != 0 && state_->status.ok())
    state_->status = RecordFileError(errno, "write", state_->path);
  return state_->status;
}

const absl::Status& RecordWriter::status() const { return state_->status; }
uint64_t RecordWriter::records() const { return state_->records; }

}  // namespace spantap
