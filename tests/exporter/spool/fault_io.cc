// SPDX-License-Identifier: Apache-2.0
#include "tests/exporter/spool/fault_io.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace spantap {
namespace {

void Die() {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

template <typename Whole, typename Half>
long Call(IoCall call, Whole whole, Half half) {
  const int what = io_hook ? io_hook(call) : kProceed;
  if (what == kDieBefore) Die();
  if (what > 0) {
    errno = what;
    return -1;
  }
  const long result = what == kDieHalf || what == kShort ? half() : whole();
  if (what == kDieHalf || what == kDieAfter) Die();
  return result;
}

template <typename Whole>
long Call(IoCall call, Whole whole) {
  return Call(call, whole, whole);
}

std::vector<iovec> FirstHalf(const iovec* pieces, int count) {
  size_t left = 0;
  for (int i = 0; i < count; ++i) left += pieces[i].iov_len;
  left = (left + 1) / 2;
  std::vector<iovec> half;
  for (int i = 0; i < count && left > 0; ++i) {
    half.push_back({pieces[i].iov_base, std::min(left, pieces[i].iov_len)});
    left -= half.back().iov_len;
  }
  return half;
}

}  // namespace
}  // namespace spantap

using spantap::Call;
using spantap::IoCall;

extern "C" {

int openat(int folder, const char* path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  const int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, int) : 0;
  va_end(args);
  return static_cast<int>(Call(IoCall::kOpen, [&] { return syscall(SYS_openat, folder, path, flags, mode); }));
}

ssize_t pread(int fd, void* to, size_t bytes, off_t offset) {
  return Call(
      IoCall::kRead, [&] { return syscall(SYS_pread64, fd, to, bytes, offset); },
      [&] { return syscall(SYS_pread64, fd, to, (bytes + 1) / 2, offset); });
}

ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset) {
  return Call(
      IoCall::kWrite, [&] { return syscall(SYS_pwritev, fd, pieces, count, offset, 0L); },
      [&] {
        const auto half = spantap::FirstHalf(pieces, count);
        return syscall(SYS_pwritev, fd, half.data(), half.size(), offset, 0L);
      });
}

int fdatasync(int fd) {
  return static_cast<int>(Call(IoCall::kSyncData, [&] { return syscall(SYS_fdatasync, fd); }));
}

int fsync(int fd) {
  return static_cast<int>(Call(IoCall::kSync, [&] { return syscall(SYS_fsync, fd); }));
}

int ftruncate(int fd, off_t size) noexcept {
  return static_cast<int>(Call(IoCall::kTruncate, [&] { return syscall(SYS_ftruncate, fd, size); }));
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  return static_cast<int>(Call(IoCall::kUnlink, [&] { return syscall(SYS_unlinkat, folder, path, flags); }));
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  return static_cast<int>(
      Call(IoCall::kRename, [&] { return syscall(SYS_renameat2, from_folder, from, to_folder, to, 0); }));
}

}  // extern "C"
