// SPDX-License-Identifier: Apache-2.0
//
// A collector on a loopback port that answers with raw bytes from a script: right answers, wrong ones,
// none, endless ones. One thread serves one connection at a time, which is what the transport opens.
//
// Script actions are tried in order, one per request; the last one repeats. Every request is kept, read
// completely (head and content-length body) before the action runs.
#pragma once

#include <poll.h>

#include <atomic>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "tests/fakes/loopback.h"

namespace spantap {

struct CollectorRequest {
  std::string head;  // request line and headers
  std::string body;
  int connection = 0;
  uint64_t at_ns = 0;
};

class FakeCollector {
 public:
  // Answers on `fd`; false closes the connection. `stop` turns true when the collector ends.
  using Action = std::function<bool(int fd, const std::atomic<bool>& stop)>;

  static Action Raw(std::string bytes, bool keep_open = true) {
    return [bytes = std::move(bytes), keep_open](int fd, const std::atomic<bool>&) {
      return Write(fd, bytes) && keep_open;
    };
  }
  static Action Answer(int status, const std::string& headers = "", const std::string& body = "") {
    return Raw(
        absl::StrCat("HTTP/1.1 ", status, " Whatever\r\nContent-Length: ", body.size(), "\r\n", headers, "\r\n", body));
  }
  static Action Close() {
    return [](int, const std::atomic<bool>&) { return false; };
  }
  // Sends `start`, then `part` until the other side or the collector ends.
  static Action Endless(const std::string& start, const std::string& part) {
    return [start, part](int fd, const std::atomic<bool>& stop) {
      bool open = Write(fd, start);
      while (open && !stop) open = Write(fd, part);
      return false;
    };
  }
  // `start`, then silence until the other side hangs up.
  static Action Stall(const std::string& start) {
    return [start](int fd, const std::atomic<bool>& stop) {
      Write(fd, start);
      char byte;
      while (!stop && !(Readable(fd) && recv(fd, &byte, 1, 0) <= 0)) {
      }
      return false;
    };
  }

  explicit FakeCollector(std::vector<Action> script = {Answer(200)}) : script_(script.begin(), script.end()) {
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeCollector() { Stop(); }

  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    listener_.fd.Reset();
  }
  std::string url() const { return listener_.url(); }

  std::vector<CollectorRequest> requests() {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }

 private:
  static bool Write(int fd, const std::string& bytes) {
    for (size_t sent = 0; sent < bytes.size();) {
      const ssize_t n = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += static_cast<size_t>(n);
    }
    return true;
  }
  static bool Readable(int fd) {
    pollfd poll_fd = {fd, POLLIN, 0};
    return poll(&poll_fd, 1, 20) > 0;
  }

  void Serve() {
    for (int connection = 1; !stop_;) {
      if (!Readable(listener_.fd.get())) continue;
      const UniqueFd fd(accept4(listener_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const timeval send_limit = {1, 0};  // so that Endless() notices the end
      setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &send_limit, sizeof(send_limit));
      CollectorRequest request;
      while (ReadRequest(fd.get(), &request)) {
        request.connection = connection;
        if (!NextAction(std::move(request))(fd.get(), stop_)) break;
        request = {};
      }
      ++connection;
    }
  }

  Action NextAction(CollectorRequest request) {
    absl::MutexLock lock(&mutex_);
    requests_.push_back(std::move(request));
    Action action = script_.front();
    if (script_.size() > 1) script_.pop_front();
    return action;
  }

  bool ReadRequest(int fd, CollectorRequest* request) {
    std::string bytes;
    size_t total = std::string::npos;
    while (bytes.size() < total) {
      if (stop_) return false;
      if (!Readable(fd)) continue;
      char buffer[65536];
      const ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
      if (n <= 0) return false;
      bytes.append(buffer, static_cast<size_t>(n));
      const size_t end = bytes.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      request->head = bytes.substr(0, end + 2);
      size_t length = 0;
      const std::string lower = absl::AsciiStrToLower(request->head);
      if (const size_t at = lower.find("content-length:"); at != std::string::npos) {
        if (!absl::SimpleAtoi(lower.substr(at + 15, lower.find("\r\n", at) - at - 15), &length)) return false;
      }
      total = end + 4 + length;
    }
    request->body = bytes.substr(request->head.size() + 2);
    request->at_ns = MonoNs();
    return true;
  }

  LoopbackListener listener_;
  std::atomic<bool> stop_{false};
  absl::Mutex mutex_;
  std::deque<Action> script_ ABSL_GUARDED_BY(mutex_);
  std::vector<CollectorRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace spantap
