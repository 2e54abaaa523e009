// SPDX-License-Identifier: Apache-2.0
//
// A listening TCP socket on 127.0.0.1, on a port that the kernel chooses. Used by the servers of unit tests.
//
// A value; any thread.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"

namespace spantap {

inline sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

struct LoopbackListener {
  // Connections inherit the buffer's size. If anything fails the port is 0: nobody can connect, and the test fails.
  explicit LoopbackListener(int backlog = 16, int receive_buffer = 0) {
    sockaddr_in address = Loopback(0);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof(address);
    if (receive_buffer > 0) setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    const bool ok = bind(fd.get(), generic, length) == 0 && listen(fd.get(), backlog) == 0 &&
                    getsockname(fd.get(), generic, &length) == 0;
    port = ok ? ntohs(address.sin_port) : 0;
  }
  std::string url(absl::string_view scheme = "http") const { return absl::StrCat(scheme, "://127.0.0.1:", port); }

  UniqueFd fd{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  int port = 0;
};

}  // namespace spantap
