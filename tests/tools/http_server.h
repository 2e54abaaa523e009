// SPDX-License-Identifier: Apache-2.0
//
// The least HTTP/1.1 server a sink needs: whole requests with Content-Length in, whole answers out, and a listener
// that can be shut and opened again on the same port while the process lives, which httplib's cannot.
//
// One thread per connection; the handler is called on those. Bodies up to 64 MiB; a wrong request ends its connection.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"

namespace spantap {

class HttpServer {
 public:
  struct Answer {
    int status = 200;  // 0: close the connection without an answer
    std::string body;
    std::string content_type = "application/x-protobuf";
  };
  using Handler = std::function<Answer(const std::string& target, const std::string& body)>;

  // `port` 0: any.
  HttpServer(int port, Handler handler);
  ~HttpServer();

  bool listening() const { return listening_; }
  int port() const { return port_; }
  // Refuses connections from now on and ends those that are open, each after the request it is answering.
  void Close();
  void Open();

 private:
  struct Connection {
    UniqueFd fd;
    std::thread thread;
    std::atomic<bool> done{false};
  };
  void Accept();
  void Serve(Connection* connection);
  void Reap(bool all);
  bool ReadRequest(int fd, std::string* buffer, std::string* target, std::string* body);

  const Handler handler_;
  int port_;
  std::atomic<bool> listening_{false};
  UniqueFd listener_;
  std::thread acceptor_;
  std::vector<std::unique_ptr<Connection>> connections_;  // the acceptor's own
};

}  // namespace spantap
