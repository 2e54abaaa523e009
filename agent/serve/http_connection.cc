// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/http_connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace spantap {
namespace {

bool WouldBlock(ssize_t n) { return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR); }

}  // namespace

short HttpConnection::wanted() const { return state_ == State::kWriting ? POLLOUT : POLLIN; }

bool HttpConnection::Step(const Handler& handler) {
  if (state_ == State::kReading) Read(handler);
  if (state_ == State::kWriting) Write();
  if (state_ == State::kLingering) Linger();
  return state_ != State::kDone && !gone_;
}

void HttpConnection::Read(const Handler& handler) {
  const size_t size = head_.size();
  head_.resize(kHeadBytes);
  const ssize_t n = recv(fd_.get(), head_.data() + size, kHeadBytes - size, 0);
  head_.resize(size + static_cast<size_t>(std::max<ssize_t>(n, 0)));
  if (n <= 0) {
    gone_ = !WouldBlock(n);
    return;
  }
  // The empty line may have begun in what came before.
  const size_t end = head_.find("\r\n\r\n", size < 3 ? 0 : size - 3);
  if (end != std::string::npos) {
    head_.resize(end + 4);
    Answer(handler);
  } else if (head_.size() == kHeadBytes) {
    answer_ = FormatResponse(PlainResponse(431), false);
    state_ = State::kWriting;
  }
}

void HttpConnection::Answer(const Handler& handler) {
  HttpRequest request;
  const int refused = ParseRequest(head_, request);
  answer_ = FormatResponse(refused != 0 ? PlainResponse(refused) : handler(request.path), request.head);
  state_ = State::kWriting;
}

void HttpConnection::Write() {
  const ssize_t n = send(fd_.get(), answer_.data() + written_, answer_.size() - written_, MSG_NOSIGNAL);
  if (n < 0) {
    gone_ = !WouldBlock(n);
    return;
  }
  written_ += static_cast<size_t>(n);
  if (written_ < answer_.size()) return;
  state_ = shutdown(fd_.get(), SHUT_WR) == 0 ? State::kLingering : State::kDone;
}

void HttpConnection::Linger() {
  char sink[4096];
  const ssize_t n = recv(fd_.get(), sink, sizeof(sink), 0);
  if (WouldBlock(n)) return;
  lingered_ += static_cast<size_t>(std::max<ssize_t>(n, 0));
  if (n <= 0 || lingered_ > kLingerBytes) state_ = State::kDone;
}

}  // namespace spantap
