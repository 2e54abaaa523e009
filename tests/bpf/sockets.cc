// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "tests/bpf/observe.h"

namespace spantap::testing {
namespace {

sockaddr_in6 Any6() {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  return address;
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

Pair Join(int client, int listener) {
  Pair pair{client, accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)};
  MUST(pair.server >= 0);
  close(listener);
  Shared().other_port = LocalPort(client);
  return pair;
}

std::vector<iovec> Vectors(std::vector<std::string>& buffers) {
  std::vector<iovec> vectors;
  for (std::string& buffer : buffers) vectors.push_back({buffer.data(), buffer.size()});
  return vectors;
}

}  // namespace

uint16_t LocalPort(int socket) {
  sockaddr_in6 address = {};
  socklen_t length = sizeof(address);
  MUST(getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  return ntohs(address.sin6_port);  // at the same place in both families
}

int Listen(uint16_t* port, int family) {
  const int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  MUST(listener >= 0);
  const sockaddr_in address = Loopback(0);
  const sockaddr_in6 address6 = Any6();
  if (family == AF_INET) {
    MUST(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  } else {
    MUST(bind(listener, reinterpret_cast<const sockaddr*>(&address6), sizeof(address6)) == 0);
  }
  MUST(listen(listener, 16) == 0);
  *port = LocalPort(listener);
  return listener;
}

void ListenOn(int socket, uint16_t port) {
  const int one = 1;
  const sockaddr_in address = Loopback(port);
  MUST(setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
  MUST(bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  MUST(listen(socket, 16) == 0);
}

int Connect(uint16_t port) {
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  MUST(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  return client;
}

Pair TcpPair(int family) {
  uint16_t port = 0;  // what is shared, other workers may write meanwhile
  const int listener = Listen(&port, family);
  Shared().port = port;
  const int client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  sockaddr_in6 address6 = Any6();
  address6.sin6_port = htons(port);
  if (family == AF_INET) {
    MUST(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  } else {
    MUST(connect(client, reinterpret_cast<const sockaddr*>(&address6), sizeof(address6)) == 0);
  }
  return Join(client, listener);
}

Pair MappedPair() {
  const int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 any = {};
  any.sin6_family = AF_INET6;
  any.sin6_addr.s6_addr[10] = any.sin6_addr.s6_addr[11] = 0xff;  // ::ffff:127.0.0.1
  any.sin6_addr.s6_addr[12] = 127;
  any.sin6_addr.s6_addr[15] = 1;
  MUST(bind(listener, reinterpret_cast<const sockaddr*>(&any), sizeof(any)) == 0);
  MUST(listen(listener, 1) == 0);
  Shared().port = LocalPort(listener);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(Shared().port);
  MUST(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  return Join(client, listener);
}

Pair UnixPair() {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const socklen_t family_only = sizeof(sa_family_t);  // the kernel picks an abstract name
  MUST(bind(listener, reinterpret_cast<const sockaddr*>(&address), family_only) == 0);
  MUST(listen(listener, 1) == 0);
  socklen_t length = sizeof(address);
  MUST(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  Pair pair;
  pair.client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  MUST(connect(pair.client, reinterpret_cast<const sockaddr*>(&address), length) == 0);
  pair.server = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  MUST(pair.server >= 0);
  close(listener);
  return pair;
}

ssize_t SendBy(Send how, int socket, const std::vector<std::string>& given) {
  std::vector<std::string> buffers = given;
  std::vector<iovec> vectors = Vectors(buffers);
  mmsghdr message = {};
  message.msg_hdr.msg_iov = vectors.data();
  message.msg_hdr.msg_iovlen = vectors.size();
  const int count = static_cast<int>(vectors.size());
  switch (how) {
    case Send::kWrite:
      return write(socket, buffers[0].data(), buffers[0].size());
    case Send::kWritev:
      return writev(socket, vectors.data(), count);
    case Send::kSendto:
      return sendto(socket, buffers[0].data(), buffers[0].size(), 0, nullptr, 0);
    case Send::kSendmsg:
      return sendmsg(socket, &message.msg_hdr, 0);
    case Send::kSendmmsg:
      MUST(sendmmsg(socket, &message, 1, 0) == 1);
      return message.msg_len;
    case Send::kPwritev2:
      return pwritev2(socket, vectors.data(), count, -1, 0);
  }
  return -1;
}

ssize_t ReceiveBy(Receive how, int socket, const std::vector<size_t>& sizes, int flags) {
  std::vector<std::string> buffers;
  for (const size_t size : sizes) buffers.emplace_back(size, '\0');
  std::vector<iovec> vectors = Vectors(buffers);
  mmsghdr message = {};
  message.msg_hdr.msg_iov = vectors.data();
  message.msg_hdr.msg_iovlen = vectors.size();
  const int count = static_cast<int>(vectors.size());
  switch (how) {
    case Receive::kRead:
      return read(socket, buffers[0].data(), buffers[0].size());
    case Receive::kReadv:
      return readv(socket, vectors.data(), count);
    case Receive::kRecvfrom:
      return recvfrom(socket, buffers[0].data(), buffers[0].size(), flags, nullptr, nullptr);
    case Receive::kRecvmsg:
      return recvmsg(socket, &message.msg_hdr, flags);
    case Receive::kRecvmmsg:
      MUST(recvmmsg(socket, &message, 1, flags, nullptr) == 1);
      return message.msg_len;
    case Receive::kPreadv2:
      return preadv2(socket, vectors.data(), count, -1, 0);
  }
  return -1;
}

void SendAll(int socket, const std::string& text) {
  size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t bytes = send(socket, text.data() + sent, text.size() - sent, 0);
    MUST(bytes > 0);
    sent += static_cast<size_t>(bytes);
  }
}

void ReceiveAll(int socket, size_t bytes, size_t step) {
  const std::unique_ptr<char[]> buffer(new char[step]);
  while (bytes > 0) {
    const ssize_t got = recv(socket, buffer.get(), std::min(bytes, step), 0);
    MUST(got > 0);
    bytes -= static_cast<size_t>(got);
  }
}

}  // namespace spantap::testing
