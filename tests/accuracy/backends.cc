// SPDX-License-Identifier: Apache-2.0
//
// The three services that every server of the accuracy bench calls: `backends SEED PORT PORT PORT`.
// Each answers a request after 0.3 ms and an exponential delay with a mean of 2, 4 and 3 ms, so that
// replies overtake each other.
#include <random>

#include "tests/accuracy/event_loop.h"

namespace spantap::accuracy {
namespace {

constexpr double kMeanMs[] = {2, 4, 3};
constexpr double kLeastMs = 0.3;

class Backend {
 public:
  Backend(EventLoop& loop, int port, double mean_ms, uint64_t seed) : loop_(loop), random_(seed), delay_(1 / mean_ms) {
    const int on = 1;
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const sockaddr_in address = Loopback(port);
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) Die("bind");
    if (listen(listener_, 1024) != 0) Die("listen");
    loop_.Watch(listener_, [this] { Accept(); });
  }

 private:
  void Accept() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    SetNoDelay(fd);
    inputs_[fd] = {++serial_, ""};
    loop_.Watch(fd, [this, fd] { Read(fd); });
  }

  void Read(int fd) {
    Input& input = inputs_[fd];
    if (!ReadInto(fd, &input.bytes)) return End(fd);
    for (size_t end; (end = input.bytes.find("\r\n\r\n")) != std::string::npos;) {
      const bool last = input.bytes.substr(0, end).find("onnection: close") != std::string::npos;
      input.bytes.erase(0, end + 4);
      const uint64_t delay = (kLeastMs + delay_(random_)) * 1e6;
      loop_.At(NowNs() + delay, [this, fd, serial = input.serial, last] { Reply(fd, serial, last); });
    }
  }

  void Reply(int fd, uint64_t serial, bool last) {
    const auto it = inputs_.find(fd);
    if (it == inputs_.end() || it->second.serial != serial) return;  // the connection is gone
    WriteAll(fd, last ? "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
                      : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    if (last) End(fd);
  }

  void End(int fd) {
    inputs_.erase(fd);
    loop_.Close(fd);
  }

  struct Input {
    uint64_t serial;  // tells apart the connections that had the same descriptor
    std::string bytes;
  };

  EventLoop& loop_;
  std::mt19937_64 random_;
  std::exponential_distribution<double> delay_;
  int listener_;
  uint64_t serial_ = 0;
  std::unordered_map<int, Input> inputs_;
};

}  // namespace
}  // namespace spantap::accuracy

int main(int argc, char** argv) {
  using namespace spantap::accuracy;
  if (argc != 5) {
    fprintf(stderr, "usage: backends SEED PORT PORT PORT\n");
    return 2;
  }
  EventLoop loop;
  const uint64_t seed = strtoull(argv[1], nullptr, 10);
  Backend a(loop, atoi(argv[2]), kMeanMs[0], seed), b(loop, atoi(argv[3]), kMeanMs[1], seed + 1),
      c(loop, atoi(argv[4]), kMeanMs[2], seed + 2);
  loop.Run();
}
