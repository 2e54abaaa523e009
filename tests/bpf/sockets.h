// SPDX-License-Identifier: Apache-2.0
//
// Socket pairs and one function per system call, for children of Observe(). Loopback only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace spantap::testing {

struct Pair {
  int client = -1;
  int server = -1;
};

// A listening socket on the loopback address; `*port` receives its port. Family AF_INET or AF_INET6.
int Listen(uint16_t* port, int family = 2);
// Binds to a loopback port and listens; connects to one (AF_INET).
void ListenOn(int socket, uint16_t port);
int Connect(uint16_t port);
// Connected through a listener that is closed again; notes the two ports: Shared().port is the server's.
Pair TcpPair(int family = 2);
Pair MappedPair();  // AF_INET client, AF_INET6 server
Pair UnixPair();
uint16_t LocalPort(int socket);

enum class Send { kWrite, kWritev, kSendto, kSendmsg, kSendmmsg, kPwritev2 };
enum class Receive { kRead, kReadv, kRecvfrom, kRecvmsg, kRecvmmsg, kPreadv2 };

// One call with the given buffers; returns bytes.
ssize_t SendBy(Send how, int socket, const std::vector<std::string>& buffers);
ssize_t ReceiveBy(Receive how, int socket, const std::vector<size_t>& sizes, int flags = 0);

void SendAll(int socket, const std::string& text);
// Reads exactly `bytes` with calls of at most `step`.
void ReceiveAll(int socket, size_t bytes, size_t step = 65536);

}  // namespace spantap::testing
