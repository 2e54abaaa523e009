// SPDX-License-Identifier: Apache-2.0
//
// What the bench's two traffic programs share: an epoll loop with timers of nanosecond resolution, and a
// connection that collects bytes until a head is complete.
//
// One thread each, so that neither takes more of the machine than it must from the server under test.
// Memory: one entry a connection and a timer; trusted input only (our own programs on loopback).
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

namespace spantap::accuracy {

inline uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000ull + now.tv_nsec;
}

[[noreturn]] inline void Die(const char* what) {
  perror(what);
  exit(1);
}

inline sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline void SetNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

class EventLoop {
 public:
  using Action = std::function<void()>;

  EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~EventLoop() { close(epoll_); }

  // `action` runs whenever `fd` is readable (or at its end).
  void Watch(int fd, Action action) {
    epoll_event event = {EPOLLIN, {.fd = fd}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
    actions_[fd] = std::move(action);
  }
  void Close(int fd) {
    actions_.erase(fd);
    close(fd);
  }
  void At(uint64_t ns, Action action) { timers_.push({ns, serial_++, std::move(action)}); }
  void Stop() { stopped_ = true; }

  void Run() {
    epoll_event events[64];
    while (!stopped_) {
      const timespec timeout = UntilNext();
      const int count = epoll_pwait2(epoll_, events, 64, &timeout, nullptr);
      for (int i = 0; i < count; ++i) {
        const auto it = actions_.find(events[i].data.fd);
        if (it == actions_.end()) continue;
        const Action action = it->second;  // it may remove itself
        action();
      }
      RunTimers();
    }
  }

 private:
  struct Timer {
    uint64_t ns, serial;
    Action action;
    bool operator<(const Timer& other) const { return ns != other.ns ? ns > other.ns : serial > other.serial; }
  };

  timespec UntilNext() const {
    uint64_t wait = 1'000'000'000;
    if (!timers_.empty()) wait = std::min(wait, timers_.top().ns - std::min(timers_.top().ns, NowNs()));
    return {static_cast<time_t>(wait / 1'000'000'000), static_cast<long>(wait % 1'000'000'000)};
  }
  void RunTimers() {
    while (!timers_.empty() && timers_.top().ns <= NowNs()) {
      const Action action = timers_.top().action;
      timers_.pop();
      action();
    }
  }

  int epoll_;
  uint64_t serial_ = 0;
  bool stopped_ = false;
  std::unordered_map<int, Action> actions_;
  std::priority_queue<Timer> timers_;
};

// Appends what can be read now; false at the connection's end.
inline bool ReadInto(int fd, std::string* bytes) {
  char chunk[16384];
  const ssize_t count = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  bytes->append(chunk, count);
  return count > 0;
}

inline bool WriteAll(int fd, const std::string& bytes) {
  return send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

}  // namespace spantap::accuracy
