// SPDX-License-Identifier: Apache-2.0
//
// The reader of embedded mode beside its producers, in one process, with a collector that is not there: rings, ends,
// children, time limits. What arrives at a collector is in tests/e2e/test_embedded.py.
#include <catch2/catch.hpp>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "exporter/embedded/worker.h"
#include "tests/exporter/intake/record_maker.h"
#include "tests/exporter/intake/ring_writer.h"
#include "tests/exporter/intake/welcome_taker.h"

namespace spantap {
namespace {

using handoff_test::HelloPacket;
using handoff_test::RecordMaker;
using handoff_test::RingWriter;
using handoff_test::TakeWelcome;

bool Soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

// The producer's side of a connection.
class Attached {
 public:
  explicit Attached(int connection) : connection_(connection) {
    const UniqueFd memory = TakeWelcome(connection, MSG_DONTWAIT, &welcome_);
    REQUIRE(memory.valid());
    memory_ = mmap(nullptr, Size(), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    REQUIRE(memory_ != MAP_FAILED);
    writer = RingWriter(static_cast<spantap_ring*>(memory_), welcome_.data_bytes);
  }
  Attached(const Attached&) = delete;
  ~Attached() { munmap(memory_, Size()); }

  void Close() { connection_.Reset(); }
  bool SeesEnd() const {
    char byte = 0;
    return recv(connection_.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }
  uint64_t data_bytes() const { return welcome_.data_bytes; }
  uint32_t state() const { return __atomic_load_n(&writer.ring()->state, __ATOMIC_ACQUIRE); }
  RingWriter writer;

 private:
  size_t Size() const { return SPANTAP_RING_HEADER_BYTES + welcome_.data_bytes; }
  UniqueFd connection_;
  spantap_welcome welcome_ = {};
  void* memory_ = MAP_FAILED;
};

// Workers are never freed while their threads may run; here they end in order.
struct Rig {
  explicit Rig(absl::Duration drain = absl::Milliseconds(200)) {
    TransportSettings transport;
    transport.endpoint = ParseEndpoint("http://127.0.0.1:9", Protocol::kHttpProtobuf, EndpointForm::kBase).value();
    settings.exporter.endpoints = {transport};
    settings.exporter.drain = drain;
  }
  ~Rig() { worker.Stop(); }
  uint64_t Created() const { return worker.ledger().created; }

  EmbeddedSettings settings;
  Worker worker{settings};
};

TEST_CASE("embedded: spans of several producers are taken, and what they drop and close is noticed", "[embedded]") {
  Rig rig;
  Attached first(rig.worker.Connect(HelloPacket())), second(rig.worker.Connect(HelloPacket()));
  CHECK(first.data_bytes() == SPANTAP_RING_DEFAULT_BYTES);
  for (uint64_t i = 1; i <= 1000; ++i) {
    REQUIRE(first.writer.Write(RecordMaker(i).Make()));
    REQUIRE(second.writer.Write(RecordMaker(i).Make()));
  }
  CHECK(Soon([&] { return rig.Created() == 2000; }));
  first.writer.Write(RecordMaker(7).Make());
  first.Close();
  CHECK(Soon([&] { return rig.Created() == 2001; }));
}

TEST_CASE("embedded: a full queue leaves spans in the ring, where the producer sees it", "[embedded]") {
  Rig rig;
  rig.settings.exporter.queue.max_spans = 10;
  Attached host(rig.worker.Connect(HelloPacket()));
  uint64_t written = 0;
  while (host.writer.Write(RecordMaker(written + 1).Make())) ++written;
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(rig.Created() < written);
  CHECK(rig.worker.ledger().total_dropped() == 0);
}

TEST_CASE("embedded: a ring that lies is given up, the others go on", "[embedded]") {
  Rig rig;
  Attached good(rig.worker.Connect(HelloPacket())), bad(rig.worker.Connect(HelloPacket()));
  bad.writer.Publish(UINT64_MAX - 7);
  CHECK(Soon([&] { return bad.state() == SPANTAP_RING_CLOSED && bad.SeesEnd(); }));
  REQUIRE(good.writer.Write(RecordMaker(1).Make()));
  CHECK(Soon([&] { return rig.Created() == 1; }));
  Attached again(rig.worker.Connect(HelloPacket()));
  CHECK(again.state() == SPANTAP_RING_OPEN);
}

TEST_CASE("embedded: no hello, no connection; none after the end", "[embedded]") {
  Rig rig;
  CHECK(rig.worker.Connect("not a hello") == -1);
  CHECK(rig.worker.Connect("") == -1);
  Attached host(rig.worker.Connect(HelloPacket()));
  REQUIRE(host.writer.Write(RecordMaker(1).Make()));
  rig.worker.Stop();
  CHECK(host.state() == SPANTAP_RING_CLOSED);
  CHECK(rig.worker.Connect(HelloPacket()) == -1);
  const LedgerSnapshot ledger = rig.worker.ledger();
  CHECK((ledger.created == 1 && ledger.in_flight() == 0));
}

TEST_CASE("embedded: flush and end are bounded, whatever the collector does", "[embedded]") {
  Rig rig(absl::Milliseconds(300));
  CHECK(rig.worker.Flush(absl::Milliseconds(50)) == false);  // nothing has begun
  Attached host(rig.worker.Connect(HelloPacket()));
  REQUIRE(host.writer.Write(RecordMaker(1).Make()));
  const uint64_t start_ns = MonoNs();
  CHECK_FALSE(rig.worker.Flush(absl::Milliseconds(100)));
  rig.worker.Stop();
  CHECK(MonoNs() - start_ns < 2'000'000'000);
  CHECK(rig.worker.Flush(absl::Milliseconds(100)));  // all is given up
  rig.worker.Stop();
}

size_t Threads() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) count += !entry.path().empty();
  return count;
}

TEST_CASE("embedded: threads leave when nobody is left, and come back", "[embedded]") {
  Rig rig;
  REQUIRE(Soon([] { return Threads() == 1; }));  // those of the tests before have gone
  for (int i = 0; i < 2; ++i) {
    Attached host(rig.worker.Connect(HelloPacket()));
    CHECK(Soon([&] { return Threads() == 4; }));
    host.Close();
    CHECK(Soon([&] { return Threads() == 1; }));
  }
  rig.worker.Stop();
}

TEST_CASE("embedded: a child finds its parent's worker to be no business of its own", "[embedded]") {
  Rig rig;
  Attached host(rig.worker.Connect(HelloPacket()));
  CHECK_FALSE(rig.worker.InChild());
  const pid_t child = fork();
  if (child == 0) _exit(rig.worker.InChild() ? 0 : 1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

}  // namespace
}  // namespace spantap
