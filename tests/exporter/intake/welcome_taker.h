// SPDX-License-Identifier: Apache-2.0
//
// The producer's half of exporter/intake/welcome.h, for tests that play a producer.
#pragma once

#include <sys/socket.h>

#include <cstring>

#include "base/unique_fd.h"
#include "exporter/handoff/ring_layout.h"

namespace spantap::handoff_test {

// Receives *welcome and returns the ring's memory; invalid if no whole packet came, or none with memory.
inline UniqueFd TakeWelcome(int connection, int flags, spantap_welcome* welcome) {
  iovec part = {welcome, sizeof(*welcome)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (recvmsg(connection, &message, flags | MSG_CMSG_CLOEXEC) != static_cast<ssize_t>(sizeof(*welcome))) return {};
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (welcome->status != 0 || header == nullptr) return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return UniqueFd(fd);
}

}  // namespace spantap::handoff_test
