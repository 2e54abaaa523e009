// SPDX-License-Identifier: Apache-2.0
//
// The value of --listen, and the socket made from it. Accepted: IPV4:PORT, [IPV6]:PORT, localhost:PORT (127.0.0.1).
// No names are looked up, and there is no form for "every address" but writing it (0.0.0.0): /metrics has no password.
// Any thread.
#pragma once

#include <sys/socket.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace spantap {

struct ListenAddress {
  sockaddr_storage address = {};
  socklen_t size = 0;
  bool loopback = false;
};

// InvalidArgument names the accepted form. Port 0 lets the kernel choose.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);
// A listening socket, non-blocking. InvalidArgument (wrong use, exit 2) if the address is taken, not of this machine
// or not permitted; `text` is for the message.
absl::StatusOr<UniqueFd> OpenListener(const ListenAddress& address, absl::string_view text);
// "127.0.0.1:9464", as the kernel has it.
std::string BoundAddress(int fd);

}  // namespace spantap
