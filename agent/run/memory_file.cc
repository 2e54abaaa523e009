// SPDX-License-Identifier: Apache-2.0
#include "agent/run/memory_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "agent/cause/store.h"
#include "base/unique_fd.h"
#include "exporter/spool/file_io.h"

namespace spantap {
namespace {

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string TemporaryOf(const std::string& path) { return path + ".new"; }

absl::Status Wrong(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("link-memory ", path, ": ", what, "; give a file in a folder that the agent can write"));
}

absl::Status Error(int error, absl::string_view what) { return absl::ErrnoToStatus(error, what); }

int WriteAndSync(int fd, absl::string_view bytes) {
  if (const int error = WriteAt(fd, 0, {bytes}); error != 0) return error;
  return fsync(fd) == 0 ? 0 : errno;
}

// The rename is to last, too. What cannot be synced (some file systems refuse it for folders) is as good as it gets.
void SyncFolder(const std::string& path) {
  const UniqueFd folder(open(FolderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.valid()) fsync(folder.get());
}

}  // namespace

absl::Status CheckMemoryPath(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) return Wrong(path, "it is no regular file");
  } else if (errno != ENOENT) {
    return Wrong(path, std::string(Error(errno, "cannot be looked at").message()));
  }
  if (path.back() == '/') return Wrong(path, "it is a folder");
  const std::string folder = FolderOf(path);
  if (faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return absl::OkStatus();
  return Wrong(path, std::string(Error(errno, absl::StrCat("cannot write into ", folder)).message()));
}

absl::StatusOr<std::string> ReadMemoryFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) return errno == ENOENT ? absl::NotFoundError("there is none") : Error(errno, "it cannot be opened");
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return Error(errno, "it cannot be looked at");
  if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError("it is no regular file");
  // Whoever else could write it could have links drawn wrong.
  if (info.st_uid != geteuid() && info.st_uid != 0) return absl::FailedPreconditionError("it belongs to another user");
  if (info.st_size > static_cast<off_t>(kMaxStoreBytes)) return absl::DataLossError("it is larger than 16 MiB");
  std::string bytes;
  const int error = ReadAt(fd.get(), 0, static_cast<size_t>(info.st_size), &bytes);
  if (error != 0) return Error(error, "it cannot be read");
  return bytes;
}

absl::Status WriteMemoryFile(const std::string& path, absl::string_view bytes) {
  const std::string temporary = TemporaryOf(path);
  unlink(temporary.c_str());  // left over from a run that was killed
  UniqueFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return Error(errno, "cannot be made");
  int error = WriteAndSync(fd.get(), bytes);
  if (error == 0 && rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    unlink(temporary.c_str());
    return Error(error, "cannot be written");
  }
  SyncFolder(path);
  return absl::OkStatus();
}

}  // namespace spantap
