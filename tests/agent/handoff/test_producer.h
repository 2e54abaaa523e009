// SPDX-License-Identifier: Apache-2.0
//
// A producer in the test's process: connects, says hello, maps the ring that it is given.
// One thread. Memory: the mapping, until the object goes.
#pragma once

#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "base/unique_fd.h"
#include "tests/exporter/intake/record_maker.h"
#include "tests/exporter/intake/ring_writer.h"
#include "tests/exporter/intake/welcome_taker.h"

namespace spantap::handoff_test {

class TestProducer {
 public:
  // Connects; says `hello` unless it is empty, and waits for the answer.
  explicit TestProducer(const std::string& path, const std::string& hello = HelloPacket()) {
    connection_ = UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    connected_ = connect(connection_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    if (!connected_ || hello.empty()) return;
    if (send(connection_.get(), hello.data(), hello.size(), MSG_NOSIGNAL) < 0) return;
    Receive();
  }
  TestProducer(const TestProducer&) = delete;
  ~TestProducer() {
    if (memory_ != MAP_FAILED) munmap(memory_, size_);
  }

  bool connected() const { return connected_; }
  bool attached() const { return memory_ != MAP_FAILED; }
  int status() const { return welcome_.status; }
  uint64_t data_bytes() const { return welcome_.data_bytes; }
  int connection() const { return connection_.get(); }
  RingWriter& writer() { return writer_; }
  spantap_ring* ring() const { return static_cast<spantap_ring*>(memory_); }
  void Disconnect() { connection_.Reset(); }
  // Whether the agent has ended the connection, within two seconds.
  bool SeesEnd() const {
    pollfd waiting = {connection_.get(), POLLIN, 0};
    char byte = 0;
    return poll(&waiting, 1, 2000) == 1 && recv(connection_.get(), &byte, 1, MSG_DONTWAIT) <= 0;
  }

 private:
  void Receive() {
    const UniqueFd memory = TakeWelcome(connection_.get(), 0, &welcome_);
    if (!memory.valid()) return;
    size_ = SPANTAP_RING_HEADER_BYTES + welcome_.data_bytes;
    memory_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    writer_ = RingWriter(static_cast<spantap_ring*>(memory_), welcome_.data_bytes);
  }

  UniqueFd connection_;
  bool connected_ = false;
  spantap_welcome welcome_ = {};
  void* memory_ = MAP_FAILED;
  size_t size_ = 0;
  RingWriter writer_;
};

}  // namespace spantap::handoff_test
