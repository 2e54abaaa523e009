// SPDX-License-Identifier: Apache-2.0
#include "exporter/spool/file_io.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace spantap {
namespace {

// A file size limit (ulimit -f) raises SIGXFSZ, which ends the process. Held back here, the write just fails (EFBIG);
// the signal goes to the thread that writes, so it can be taken back without a trace.
class NoSizeSignal {
 public:
  NoSizeSignal() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGXFSZ);
    sigset_t pending;
    sigpending(&pending);
    ours_ = sigismember(&pending, SIGXFSZ) == 0 && pthread_sigmask(SIG_BLOCK, &set_, &before_) == 0;
  }
  ~NoSizeSignal() {
    if (!ours_) return;
    const int error = errno;
    const timespec now = {};
    while (sigtimedwait(&set_, nullptr, &now) == -1 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }

 private:
  sigset_t set_;
  sigset_t before_;
  bool ours_ = false;
};

// Drops what was written of the pieces.
void Advance(size_t written, std::vector<iovec>* pieces) {
  size_t whole = 0;
  while (whole < pieces->size() && written >= (*pieces)[whole].iov_len) written -= (*pieces)[whole++].iov_len;
  pieces->erase(pieces->begin(), pieces->begin() + static_cast<ptrdiff_t>(whole));
  if (pieces->empty()) return;
  pieces->front().iov_base = static_cast<char*>(pieces->front().iov_base) + written;
  pieces->front().iov_len -= written;
}

}  // namespace

int ReadAt(int fd, uint64_t offset, size_t bytes, std::string* ret) {
  ret->resize(bytes);
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = pread(fd, ret->data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    done += static_cast<size_t>(n);
  }
  return 0;
}

int WriteAt(int fd, uint64_t offset, const std::vector<absl::string_view>& pieces) {
  const NoSizeSignal guard;
  std::vector<iovec> left;
  for (const absl::string_view piece : pieces) {
    if (!piece.empty()) left.push_back({const_cast<char*>(piece.data()), piece.size()});
  }
  while (!left.empty()) {
    const ssize_t n = pwritev(fd, left.data(), static_cast<int>(left.size()), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    offset += static_cast<uint64_t>(n);
    Advance(static_cast<size_t>(n), &left);
  }
  return 0;
}

FileBytes::FileBytes(int fd) : fd_(fd) {
  struct stat info;
  if (fstat(fd, &info) == 0 && info.st_size > 0) size_ = static_cast<uint64_t>(info.st_size);
}

bool FileBytes::Read(uint64_t offset, size_t bytes, std::string* ret) { return ReadAt(fd_, offset, bytes, ret) == 0; }

}  // namespace spantap
