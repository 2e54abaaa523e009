// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/attach.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "exporter/handoff/ring_layout.h"

namespace spantap {
namespace {

// Of Linux 6.5, and not in this libc's headers.
constexpr int kPeerPidfd = 77;
// Credentials that no user has, should the kernel give none.
constexpr uid_t kNobody = 65534;

}  // namespace

Peer PeerOf(int connection) {
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {kNobody, 0};
  return {credentials.uid, std::max<pid_t>(credentials.pid, 0)};
}

UniqueFd WatchPeer(int connection, const Peer& peer) {
  int fd = -1;
  socklen_t size = sizeof(fd);
  if (getsockopt(connection, SOL_SOCKET, kPeerPidfd, &fd, &size) == 0) return UniqueFd(fd);
  if (peer.pid == 0) return UniqueFd();
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
}

PacketState TakePacket(int connection, std::string* packet) {
  packet->resize(SPANTAP_HELLO_MAX_BYTES + 1);
  // Without room for control data: descriptors that a peer sends along are closed by the kernel.
  const ssize_t size = recv(connection, packet->data(), packet->size(), MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return PacketState::kNone;
  packet->resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  return size > 0 ? PacketState::kTaken : PacketState::kEnd;
}

}  // namespace spantap
