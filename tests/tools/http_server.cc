// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace spantap {
namespace {

constexpr size_t kMaxBody = 64 << 20;
constexpr size_t kMaxHead = 64 << 10;

bool Readable(int fd, int ms) {
  pollfd poll_fd = {fd, POLLIN, 0};
  return poll(&poll_fd, 1, ms) > 0;
}

bool Write(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

HttpServer::HttpServer(int port, Handler handler) : handler_(std::move(handler)), port_(port) { Open(); }
HttpServer::~HttpServer() { Close(); }

void HttpServer::Open() {
  if (listening_) return;
  listener_.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port_));
  socklen_t length = sizeof(address);
  if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener_.get(), 64) != 0 ||
      getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    listener_.Reset();
    return;
  }
  port_ = ntohs(address.sin_port);
  listening_ = true;
  acceptor_ = std::thread([this] { Accept(); });
}

void HttpServer::Close() {
  listening_ = false;
  if (acceptor_.joinable()) acceptor_.join();
  listener_.Reset();
}

void HttpServer::Accept() {
  while (listening_) {
    if (!Readable(listener_.get(), 10)) continue;
    auto connection = std::make_unique<Connection>();
    connection->fd.Reset(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection->fd.get() < 0) continue;
    const int on = 1;
    setsockopt(connection->fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    connection->thread = std::thread([this, raw = connection.get()] { Serve(raw); });
    connections_.push_back(std::move(connection));
    Reap(false);
  }
  listener_.Reset();  // before the connections: nobody connects to a server that will not answer
  Reap(true);
}

void HttpServer::Reap(bool all) {
  for (auto it = connections_.begin(); it != connections_.end();) {
    if (!all && !(*it)->done) {
      ++it;
      continue;
    }
    (*it)->thread.join();
    it = connections_.erase(it);
  }
}

void HttpServer::Serve(Connection* connection) {
  const int fd = connection->fd.get();
  std::string buffer, target, body;
  while (ReadRequest(fd, &buffer, &target, &body)) {
    const Answer answer = handler_(target, body);
    if (answer.status == 0) break;
    if (!Write(fd, absl::StrCat("HTTP/1.1 ", answer.status, " X\r\nContent-Type: ", answer.content_type,
                                "\r\nContent-Length: ", answer.body.size(), "\r\n\r\n", answer.body))) {
      break;
    }
  }
  shutdown(fd, SHUT_RDWR);
  connection->done = true;
}

bool HttpServer::ReadRequest(int fd, std::string* buffer, std::string* target, std::string* body) {
  size_t total = std::string::npos;
  size_t head_end = std::string::npos;
  while (buffer->size() < total) {
    if (head_end == std::string::npos) head_end = buffer->find("\r\n\r\n");
    if (head_end != std::string::npos && total == std::string::npos) {
      const std::string head = absl::AsciiStrToLower(buffer->substr(0, head_end + 2));
      size_t length = 0;
      if (const size_t at = head.find("\r\ncontent-length:"); at != std::string::npos) {
        const size_t value = at + 17;
        if (!absl::SimpleAtoi(head.substr(value, head.find("\r\n", value) - value), &length)) return false;
      }
      if (length > kMaxBody) return false;
      total = head_end + 4 + length;
      continue;
    }
    if (head_end == std::string::npos && buffer->size() > kMaxHead) return false;
    if (!listening_) return false;
    if (!Readable(fd, 10)) continue;
    char chunk[65536];
    const ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
    if (n <= 0) return false;
    buffer->append(chunk, static_cast<size_t>(n));
  }
  const size_t space = buffer->find(' ');
  *target = buffer->substr(space + 1, buffer->find(' ', space + 1) - space - 1);
  *body = buffer->substr(head_end + 4, total - head_end - 4);
  buffer->erase(0, total);
  return true;
}

}  // namespace spantap
