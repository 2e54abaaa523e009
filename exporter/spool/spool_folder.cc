// SPDX-License-Identifier: Apache-2.0
#include "exporter/spool/spool_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace spantap {
namespace {

constexpr char kLockName[] = "lock";
constexpr absl::string_view kSuffix = ".seg";
constexpr absl::string_view kDamagedSuffix = ".damaged";
constexpr size_t kNameDigits = 16;

std::string SegmentName(uint64_t name) { return absl::StrFormat("%016x%s", name, kSuffix); }
std::string DamagedName(uint64_t name) { return absl::StrCat(SegmentName(name), kDamagedSuffix); }

bool ParseName(absl::string_view text, uint64_t* ret) {
  if (!absl::ConsumeSuffix(&text, kSuffix) || text.size() != kNameDigits) return false;
  uint64_t value = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return false;
    value = value << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  *ret = value;
  return value < SpoolFolder::kMaxName;
}

absl::Status Error(int error, absl::string_view what, absl::string_view dir) {
  return absl::ErrnoToStatus(error, absl::StrCat("spool ", dir, ": ", what));
}

// Whoever may write files of ours: this user, or root.
bool OwnRegularFile(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (info.st_uid == geteuid() || info.st_uid == 0);
}

}  // namespace

absl::StatusOr<SpoolFolder> SpoolFolder::Open(const std::string& dir) {
  const bool made = mkdir(dir.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return Error(errno, "cannot make the folder", dir);
  UniqueFd folder(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return Error(errno, "cannot open the folder", dir);
  if (faccessat(folder.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) return Error(errno, "cannot write", dir);
  UniqueFd lock(openat(folder.get(), kLockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!lock.valid()) return Error(errno, "cannot write its lock file", dir);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? absl::FailedPreconditionError(absl::StrCat("spool ", dir,
                                                                             ": in use by another process; give each "
                                                                             "agent a folder of its own"))
                                : Error(errno, "cannot be locked", dir);
  }
  return SpoolFolder(std::move(folder), std::move(lock));
}

SpoolFolder::Listing SpoolFolder::List() const {
  Listing listing;
  // A descriptor of its own: the position in the listing belongs to the open file.
  const int fd = openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fd < 0 ? nullptr : fdopendir(fd), &closedir);
  if (entries == nullptr) {
    if (fd >= 0) close(fd);
    listing.complete = false;
    return listing;
  }
  size_t seen = 0;
  while (const dirent* entry = readdir(entries.get())) {
    if (++seen > kMaxEntries || listing.segments.size() == kMaxListed || listing.damaged.size() == kMaxListed) {
      listing.complete = false;
      break;
    }
    absl::string_view text = entry->d_name;
    const bool damaged = absl::ConsumeSuffix(&text, kDamagedSuffix);
    uint64_t name = 0;
    if (ParseName(text, &name)) (damaged ? listing.damaged : listing.segments).push_back(name);
  }
  std::sort(listing.segments.begin(), listing.segments.end());
  std::sort(listing.damaged.begin(), listing.damaged.end());
  return listing;
}

int SpoolFolder::OpenSegment(uint64_t name, UniqueFd* ret) const {
  const std::string path = SegmentName(name);
  int fd = openat(folder_.get(), path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  // What cannot be written any more can still be sent.
  if (fd < 0 && errno == EROFS)
    fd = openat(folder_.get(), path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return errno == ELOOP || errno == EISDIR || errno == ENXIO ? EPERM : errno;
  ret->Reset(fd);
  return OwnRegularFile(fd) ? 0 : EPERM;
}

int SpoolFolder::CreateSegment(uint64_t name, UniqueFd* ret) const {
  const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  const int fd = openat(folder_.get(), SegmentName(name).c_str(), flags, 0600);
  if (fd < 0) return errno;
  ret->Reset(fd);
  return 0;
}

int SpoolFolder::Remove(uint64_t name) const {
  return unlinkat(folder_.get(), SegmentName(name).c_str(), 0) == 0 || errno == ENOENT ? 0 : errno;
}

int SpoolFolder::SetAside(uint64_t name) const {
  const int folder = folder_.get();
  const std::string from = SegmentName(name);
  return renameat(folder, from.c_str(), folder, DamagedName(name).c_str()) == 0 || errno == ENOENT ? 0 : errno;
}

int SpoolFolder::RemoveDamaged(uint64_t name) const {
  return unlinkat(folder_.get(), DamagedName(name).c_str(), 0) == 0 || errno == ENOENT ? 0 : errno;
}

uint64_t SpoolFolder::DamagedBytes(uint64_t name) const {
  struct stat info;
  if (fstatat(folder_.get(), DamagedName(name).c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  return static_cast<uint64_t>(info.st_size);
}

int SpoolFolder::Sync() const { return fsync(folder_.get()) == 0 ? 0 : errno; }

}  // namespace spantap
