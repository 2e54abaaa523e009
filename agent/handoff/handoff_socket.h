// SPDX-License-Identifier: Apache-2.0
//
// The listening socket of the hand-off in the file system: AF_UNIX, SOCK_SEQPACKET, mode 0666 (proxies run as several
// users; who may attach is decided by SO_PEERCRED), in a folder that only root or the agent's user can change.
//
// Used by handoff.cc. The file goes with the object, unless somebody else has put another there.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace spantap {

// Whether `path` could be a hand-off socket: length, folder, what lies there now. InvalidArgument or NotFound, with
// what to do. A file that is a socket on which nobody answers is no obstacle.
absl::Status CheckHandoffPath(const std::string& path);

class HandoffSocket {
 public:
  // Checks, takes the place of a stale socket, listens.
  static absl::StatusOr<HandoffSocket> Open(const std::string& path);
  HandoffSocket(HandoffSocket&&) = default;
  HandoffSocket& operator=(HandoffSocket&&) = delete;
  ~HandoffSocket();

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  HandoffSocket(UniqueFd fd, std::string path);

  UniqueFd fd_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace spantap
