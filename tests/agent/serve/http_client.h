// SPDX-License-Identifier: Apache-2.0
//
// A client that sends bytes as told, well-formed or not, and reads what comes, each with a time limit.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>

#include "absl/strings/string_view.h"
#include "agent/serve/listen_address.h"
#include "base/clock.h"
#include "base/unique_fd.h"

namespace spantap {

// A listening socket on a free port of the loopback.
inline UniqueFd AnyPort() {
  const absl::StatusOr<ListenAddress> address = ParseListenAddress("127.0.0.1:0");
  return *OpenListener(*address, "127.0.0.1:0");
}

class HttpClient {
 public:
  explicit HttpClient(const std::string& address) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const absl::StatusOr<ListenAddress> to = ParseListenAddress(address);
    connected_ = to.ok() && connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to->address), to->size) == 0;
  }

  bool connected() const { return connected_; }
  int fd() const { return fd_.get(); }
  bool Send(absl::string_view bytes) {
    return send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // Everything until the server closes; sets closed().
  std::string ReadAll(int limit_ms = 2000) {
    std::string all;
    const uint64_t end_ns = MonoNs() + static_cast<uint64_t>(limit_ms) * 1'000'000;
    while (MonoNs() < end_ns) {
      pollfd poll_fd = {fd_.get(), POLLIN, 0};
      if (poll(&poll_fd, 1, 10) <= 0) continue;
      char buffer[4096];
      const ssize_t n = recv(fd_.get(), buffer, sizeof(buffer), 0);
      if (n <= 0) {
        closed_ = true;
        break;
      }
      all.append(buffer, static_cast<size_t>(n));
    }
    return all;
  }
  bool closed() const { return closed_; }

 private:
  UniqueFd fd_;
  bool connected_ = false;
  bool closed_ = false;
};

inline std::string Get(const std::string& address, const std::string& request) {
  HttpClient client(address);
  return client.connected() && client.Send(request) ? client.ReadAll() : "";
}

}  // namespace spantap
