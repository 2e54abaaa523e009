// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "agent/cli/sources.h"

namespace spantap {
namespace {

absl::Status CannotRead(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("cannot be read: ", why));
}

// To the end, or one byte more than is allowed.
bool ReadAll(int fd, std::string* text) {
  text->resize(kMaxFileBytes + 1);
  size_t size = 0;
  while (size < text->size()) {
    const ssize_t got = read(fd, text->data() + size, text->size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  text->resize(size);
  return true;
}

}  // namespace

absl::StatusOr<std::string> ReadRegularFile(const std::string& path) {
  // Without O_NONBLOCK, opening a FIFO would wait for its writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return CannotRead(std::strerror(errno));
  struct stat info = {};
  std::string text;
  const bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const bool read = regular && ReadAll(fd, &text);
  const int error = errno;
  close(fd);
  if (!regular) return CannotRead("no regular file");
  if (!read) return CannotRead(std::strerror(error));
  if (text.size() > kMaxFileBytes) return CannotRead(absl::StrCat("longer than ", kMaxFileBytes, " bytes"));
  return text;
}

}  // namespace spantap
