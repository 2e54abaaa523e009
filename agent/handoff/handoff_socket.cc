// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/handoff_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace spantap {
namespace {

constexpr int kBacklog = 128;
constexpr mode_t kMode = 0666;
constexpr mode_t kWritableByOthers = S_IWGRP | S_IWOTH;

template <typename... Parts>
absl::Status Refuse(absl::string_view path, const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("--socket '", absl::CHexEscape(path), "': ", parts...));
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string Octal(mode_t mode) { return absl::StrCat("0", (mode >> 6) & 7, (mode >> 3) & 7, mode & 7); }

// Who can change the folder can put another socket in the place of ours. Above it, a sticky folder is safe.
absl::Status CheckOwner(const std::string& path, const std::string& folder, bool above) {
  struct stat found;
  if (stat(folder.c_str(), &found) != 0) return Refuse(path, folder, ": ", std::strerror(errno));
  if (found.st_uid != 0 && found.st_uid != geteuid()) {
    return Refuse(path, "the folder ", folder, " belongs to user ", found.st_uid,
                  "; it has to belong to root or to the agent's user");
  }
  const bool safe = above && (found.st_mode & S_ISVTX);
  if ((found.st_mode & kWritableByOthers) && !safe) {
    return Refuse(path, "the folder ", folder, " can be written by others (mode ", Octal(found.st_mode),
                  "); use one of mode 0755, such as /run/spantap");
  }
  return absl::OkStatus();
}

absl::Status CheckFolders(const std::string& path) {
  const std::string folder = FolderOf(path);
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(folder.c_str(), nullptr), &std::free);
  if (real == nullptr) {
    return Refuse(path, "the folder ", folder, ": ", std::strerror(errno), "; make it with mode 0755, owned by root");
  }
  std::string at = real.get();
  SPANTAP_RETURN_IF_ERROR(CheckOwner(path, at, false));
  while (at != "/") {
    at = FolderOf(at);
    SPANTAP_RETURN_IF_ERROR(CheckOwner(path, at, true));
  }
  return absl::OkStatus();
}

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// Somebody answers unless the connection is refused; any socket type of his is his.
bool SomebodyAnswers(const std::string& path) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_un address = AddressOf(path);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return true;
  return errno != ECONNREFUSED && errno != ENOENT;
}

absl::Status CheckPlace(const std::string& path) {
  struct stat found;
  if (lstat(path.c_str(), &found) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Refuse(path, std::strerror(errno));
  }
  if (!S_ISSOCK(found.st_mode)) return Refuse(path, "there is a file that is no socket; move it or give another path");
  if (SomebodyAnswers(path)) {
    return Refuse(path, "another process listens there; end it or give another path");
  }
  return absl::OkStatus();
}

absl::Status BindError(const std::string& path, const char* what) {
  return Refuse(path, what, ": ", std::strerror(errno),
                errno == EACCES || errno == EROFS ? "; the agent's user has to be able to write the folder" : "");
}

}  // namespace

absl::Status CheckHandoffPath(const std::string& path) {
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Refuse(path, "a path of 1 to ", sizeof(sockaddr_un::sun_path) - 1, " bytes is needed");
  }
  SPANTAP_RETURN_IF_ERROR(CheckFolders(path));
  return CheckPlace(path);
}

absl::StatusOr<HandoffSocket> HandoffSocket::Open(const std::string& path) {
  SPANTAP_RETURN_IF_ERROR(CheckHandoffPath(path));
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return BindError(path, "no socket");
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return BindError(path, "the stale socket cannot be removed");
  const sockaddr_un address = AddressOf(path);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return BindError(path, "cannot be made");
  }
  HandoffSocket made(std::move(fd), path);
  if (chmod(path.c_str(), kMode) != 0) return BindError(path, "mode 0666 cannot be given");
  if (listen(made.fd(), kBacklog) != 0) return BindError(path, "cannot be listened on");
  return made;
}

HandoffSocket::HandoffSocket(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {
  struct stat made;
  if (lstat(path_.c_str(), &made) != 0) return;
  device_ = made.st_dev;
  inode_ = made.st_ino;
}

HandoffSocket::~HandoffSocket() {
  struct stat found;
  if (!fd_.valid() || lstat(path_.c_str(), &found) != 0) return;
  if (found.st_dev == device_ && found.st_ino == inode_) unlink(path_.c_str());
}

}  // namespace spantap
