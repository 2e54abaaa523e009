// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/attach.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

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

bool SendWelcome(int connection, int error, uint64_t data_bytes, int ring_fd) {
  spantap_welcome welcome = {};
  welcome.magic = SPANTAP_WELCOME_MAGIC;
  welcome.version = SPANTAP_HANDOFF_VERSION;
  welcome.status = error;
  welcome.data_bytes = error == 0 ? data_bytes : 0;
  iovec part = {&welcome, sizeof(welcome)};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (error == 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &ring_fd, sizeof(ring_fd));
  }
  return sendmsg(connection, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(welcome));
}

}  // namespace spantap
