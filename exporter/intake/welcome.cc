// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/welcome.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>

#include "exporter/handoff/ring_layout.h"

namespace spantap {

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
