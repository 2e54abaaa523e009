// SPDX-License-Identifier: Apache-2.0
//
// What one system call takes, in this process, now: a file read, and small and 4 KiB writes to a
// TCP connection on loopback that begin like HTTP heads (as an observed program's would).
//
// run.py runs it with and without an agent and prints the difference. Prints one JSON line, ns per call.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace {

constexpr int kRepeats = 9;  // the median of these

void Check(bool ok, const char* what) {
  if (ok) return;
  perror(what);
  exit(1);
}

// This thread's CPU time: whoever else wants the core, such as the agent that reads along, does not count.
double NowNs() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <typename Call>
double MedianNs(int calls, Call call) {
  std::vector<double> results;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const double begin = NowNs();
    for (int i = 0; i < calls; ++i) call();
    results.push_back((NowNs() - begin) / calls);
  }
  std::nth_element(results.begin(), results.begin() + kRepeats / 2, results.end());
  return results[kRepeats / 2];
}

// Both ends of a TCP connection to ourselves.
struct Pair {
  int out = -1;
  int in = -1;
};

Pair Connect() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  Check(bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0, "bind");
  Check(listen(listener, 1) == 0, "listen");
  Check(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0, "getsockname");
  Pair pair;
  pair.out = socket(AF_INET, SOCK_STREAM, 0);
  Check(connect(pair.out, reinterpret_cast<sockaddr*>(&address), length) == 0, "connect");
  pair.in = accept(listener, nullptr, nullptr);
  Check(pair.in >= 0, "accept");
  close(listener);
  return pair;
}

// One request out and in again: two calls.
double SocketNs(const std::string& request) {
  const Pair pair = Connect();
  std::string buffer(request.size(), '\0');
  const double both = MedianNs(20'000, [&] {
    Check(send(pair.out, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()), "send");
    Check(recv(pair.in, buffer.data(), buffer.size(), MSG_WAITALL) == static_cast<ssize_t>(buffer.size()), "recv");
  });
  close(pair.out);
  close(pair.in);
  return both / 2;
}

std::string RequestOf(size_t bytes) {
  std::string request = "GET /items/1?page=2 HTTP/1.1\r\nhost: shop.example\r\nx-pad: ";
  request.append(bytes - request.size() - 4, 'x');
  return request + "\r\n\r\n";
}

}  // namespace

int main() {
  const int zero = open("/dev/zero", O_RDONLY);
  Check(zero >= 0, "/dev/zero");
  char byte;
  const double file = MedianNs(200'000, [&] { Check(read(zero, &byte, 1) == 1, "read"); });
  const double small = SocketNs(RequestOf(256));
  const double large = SocketNs(RequestOf(4096));
  printf("{\"file\": %.1f, \"socket_small\": %.1f, \"socket_4k\": %.1f}\n", file, small, large);
  return 0;
}
