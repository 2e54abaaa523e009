// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/http_server.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "base/clock.h"

namespace spantap {
namespace {

constexpr uint64_t kOutOfFdsRestNs = 100'000'000;
constexpr size_t kFirstConnection = 2;  // in poll_

// Signals are for the main thread, whose waits they end.
void TakeNoSignals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

HttpServer::HttpServer(UniqueFd listener, const Limits& limits)
    : limits_(limits), listener_(std::move(listener)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

HttpServer::~HttpServer() { Stop(); }

bool HttpServer::Start(HttpConnection::Handler handler) {
  if (!wake_.valid()) return false;  // Stop() could not end the thread
  handler_ = std::move(handler);
  try {
    thread_ = std::thread([this] {
      TakeNoSignals();
      Run();
    });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

void HttpServer::Stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
  thread_.join();
  connections_.clear();
}

void HttpServer::Run() {
  for (;;) {
    uint64_t now_ns = MonoNs();
    FillPoll(now_ns);
    if (poll(poll_.data(), poll_.size(), TimeoutMs(now_ns)) < 0 && errno != EINTR) return;
    if (poll_[0].revents != 0) return;
    now_ns = MonoNs();
    StepAll(now_ns);
    if (poll_[1].revents != 0) Accept(now_ns);
  }
}

// Without room, a connection that has its answer gives way, or the oldest, but that not before it had a fair chance.
std::list<HttpConnection>::iterator HttpServer::Victim(uint64_t now_ns) {
  const auto answered = std::find_if(connections_.begin(), connections_.end(),
                                     [](const HttpConnection& connection) { return connection.answered(); });
  if (answered != connections_.end()) return answered;
  const bool fair = now_ns >= connections_.front().accepted_ns() + limits_.evict_ns;
  return fair ? connections_.begin() : connections_.end();
}

bool HttpServer::MayAccept(uint64_t now_ns) {
  if (now_ns < accept_after_ns_) return false;
  return connections_.size() < limits_.max_connections || Victim(now_ns) != connections_.end();
}

void HttpServer::FillPoll(uint64_t now_ns) {
  poll_.clear();
  poll_.push_back({wake_.get(), POLLIN, 0});
  poll_.push_back({MayAccept(now_ns) ? listener_.get() : -1, POLLIN, 0});
  for (const HttpConnection& connection : connections_) poll_.push_back({connection.fd(), connection.wanted(), 0});
}

int HttpServer::TimeoutMs(uint64_t now_ns) {
  uint64_t until_ns = UINT64_MAX;
  if (!connections_.empty()) {
    const uint64_t oldest_ns = connections_.front().accepted_ns();
    until_ns = oldest_ns + limits_.exchange_ns;
    // Only if that is what is waited for: during the rest below it may lie in the past, and poll() would spin.
    const bool resting = now_ns < accept_after_ns_;
    if (!resting && !MayAccept(now_ns)) until_ns = std::min(until_ns, oldest_ns + limits_.evict_ns);
  }
  if (now_ns < accept_after_ns_) until_ns = std::min(until_ns, accept_after_ns_);
  if (until_ns == UINT64_MAX) return -1;
  return until_ns <= now_ns ? 0 : static_cast<int>((until_ns - now_ns) / 1'000'000 + 1);
}

void HttpServer::Accept(uint64_t now_ns) {
  while (MayAccept(now_ns)) {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) {
      const bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (exhausted) accept_after_ns_ = now_ns + kOutOfFdsRestNs;
      return;
    }
    if (connections_.size() == limits_.max_connections) {
      const auto victim = Victim(now_ns);
      if (!victim->answered()) ++stats_.evicted;
      connections_.erase(victim);
    }
    connections_.emplace_back(std::move(fd), now_ns);
  }
}

void HttpServer::StepAll(uint64_t now_ns) {
  const HttpConnection::Handler count = [this](absl::string_view path) {
    ++stats_.requests;
    return handler_(path);
  };
  size_t i = kFirstConnection;
  for (auto it = connections_.begin(); it != connections_.end(); ++i) {
    const bool over = poll_[i].revents != 0 && !it->Step(count);
    const bool late = now_ns >= it->accepted_ns() + limits_.exchange_ns;
    if (!over && !late) {
      ++it;
      continue;
    }
    if (!it->answered()) ++(late ? stats_.timed_out : stats_.gone);
    it = connections_.erase(it);
  }
}

}  // namespace spantap
