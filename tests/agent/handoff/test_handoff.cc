// SPDX-License-Identifier: Apache-2.0
//
// The whole of the agent's end, with producers in this process: attaching, taking, ends of either side, refusals.
#include <catch2/catch.hpp>

#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "agent/handoff/handoff.h"
#include "tests/agent/handoff/scratch_folder.h"
#include "tests/agent/handoff/test_producer.h"

namespace spantap::handoff_test {
namespace {

bool Soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 3000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

size_t OpenFds() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) count += !entry.path().empty();
  return count;
}

struct Rig {
  explicit Rig(HandoffSettings wanted = {}, bool begin = true) {
    wanted.sockets = {path};
    auto opened = Handoff::Open(wanted, [this](absl::string_view message, absl::string_view fields) {
      log += std::string(message) + " " + std::string(fields) + "\n";
    });
    REQUIRE(opened.ok());
    handoff = *std::move(opened);
    if (begin) handoff->Begin(ledger, &queue);
  }
  HandoffCounters Counters() const { return handoff->counters(); }
  std::vector<Span> Spans() {
    std::vector<Span> spans;
    (void)queue.Pop(spans, 1, 100000, 1 << 30, absl::ZeroDuration());
    return spans;
  }

  ScratchFolder folder;
  std::string path = folder / "agent.sock";
  std::string log;
  Ledger ledger;
  SpanQueue queue{{100000, 1 << 30}, ledger};
  std::unique_ptr<Handoff> handoff;
};

TEST_CASE("hand-off: spans of several producers arrive, each with its resource", "[handoff]") {
  Rig rig;
  TestProducer a(rig.path, HelloPacket(0, 1, Named("service.name", "a")));
  TestProducer b(rig.path, HelloPacket(1, 1, Named("service.name", "b")));
  REQUIRE((a.attached() && b.attached()));
  CHECK(a.data_bytes() == SPANTAP_RING_DEFAULT_BYTES);
  CHECK(b.data_bytes() == SPANTAP_RING_MIN_BYTES);
  for (uint64_t i = 1; i <= 1000; ++i) {
    REQUIRE(a.writer().Write(RecordMaker(i).Make()));
    while (!b.writer().Write(RecordMaker(i).Make())) std::this_thread::yield();
  }
  REQUIRE(Soon([&] { return rig.queue.size() == 2000; }));
  size_t from_a = 0;
  for (const Span& span : rig.Spans()) {
    from_a += span.resource->service_name == "a";
    AttributeBlob pid;
    pid.AddInt("process.pid", getpid());
    CHECK(span.resource->attributes.bytes().find(pid.bytes()) != absl::string_view::npos);
  }
  CHECK(from_a == 1000);
  CHECK(rig.ledger.Snapshot().created == 2000);
  REQUIRE(Soon([&] { return rig.Counters().spans == 2000; }));
  CHECK(rig.Counters().producers == 2);
  CHECK(rig.Counters().attached == 2);
  CHECK(Soon([&] { return a.ring()->tail == a.writer().head(); }));
}

// What is exported in the kernel's words because nobody knew that a span would come is exported twice.
TEST_CASE("hand-off: a process is known to hand off when its producer gets the welcome", "[handoff]") {
  HandedInbox inbox;
  Rig rig({}, false);
  const std::vector<uint32_t> self = {static_cast<uint32_t>(getpid())};
  for (int run = 0; run < 2; ++run) {
    std::vector<std::unique_ptr<TestProducer>> producers;
    if (run == 0) rig.handoff->Begin(rig.ledger, &rig.queue, &inbox);
    for (int i = 0; i < 20; ++i) {
      producers.push_back(std::make_unique<TestProducer>(rig.path, HelloPacket(SPANTAP_RING_MIN_BYTES)));
      REQUIRE(producers.back()->attached());
      if (run == 0) CHECK(inbox.ProducersChanged() == (i == 0));
      if (run == 0) CHECK(inbox.TakeProducers() == self);
    }
    if (run == 1) rig.handoff->Begin(rig.ledger, &rig.queue, &inbox);  // those that were there before it
    CHECK(inbox.TakeProducers() == self);
    producers.clear();
    CHECK(Soon([&] { return inbox.ProducersChanged() && inbox.TakeProducers().empty(); }));
    rig.handoff->Pause();
  }
}

TEST_CASE("hand-off: without an exporter spans are counted as such", "[handoff]") {
  Rig rig({}, false);
  rig.handoff->Begin(rig.ledger, nullptr);
  TestProducer producer(rig.path);
  REQUIRE(producer.attached());
  REQUIRE(producer.writer().Write(RecordMaker().Make()));
  REQUIRE(Soon([&] { return rig.ledger.Snapshot().created == 1; }));
  CHECK(rig.ledger.Snapshot().dropped[static_cast<size_t>(DropReason::kNoExporter)] == 1);
}

TEST_CASE("hand-off: a producer that has gone is drained, then its memory and descriptors are freed", "[handoff]") {
  Rig rig({}, false);
  const size_t before = OpenFds();
  for (int i = 0; i < 20; ++i) {
    TestProducer producer(rig.path, HelloPacket(SPANTAP_RING_MIN_BYTES));
    REQUIRE(producer.attached());
    for (uint64_t n = 1; n <= 500; ++n) REQUIRE(producer.writer().Write(RecordMaker(n).Make()));
    producer.ring()->dropped_full = 3;
  }
  REQUIRE(Soon([&] { return rig.Counters().producers == 20; }));
  rig.handoff->Begin(rig.ledger, &rig.queue);
  REQUIRE(Soon([&] { return rig.Counters().producers == 0; }));
  CHECK(rig.queue.size() == 20 * 500);
  CHECK(rig.Counters().dropped.full == 60);
  CHECK(rig.Counters().attached == 20);  // before the first run began
  CHECK(OpenFds() == before);
}

TEST_CASE("hand-off: the end of the process counts, though a child holds the connection", "[handoff]") {
  Rig rig;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    TestProducer producer(rig.path);
    for (uint64_t n = 1; n <= 10; ++n) (void)producer.writer().Write(RecordMaker(n).Make());
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      close(ends[1]);  // else the end of the test would not be seen
      char byte = 0;
      (void)!read(ends[0], &byte, 1);
      _exit(0);
    }
    kill(getpid(), SIGKILL);
  }
  REQUIRE(waitpid(child, nullptr, 0) == child);
  CHECK(Soon([&] { return rig.Counters().attached == 1 && rig.Counters().producers == 0; }));
  CHECK(rig.queue.size() == 10);
  close(ends[1]);
  close(ends[0]);
}

TEST_CASE("hand-off: who lies is sent away, and the others lose nothing", "[handoff]") {
  Rig rig;
  TestProducer good(rig.path), bad(rig.path);
  REQUIRE((good.attached() && bad.attached()));
  REQUIRE(good.writer().Write(RecordMaker(1).Make()));
  SECTION("by its ring") { bad.writer().Publish(~uint64_t{7}); }
  SECTION("by a record") {
    RecordMaker maker;
    maker.fixed.kind = 99;
    REQUIRE(bad.writer().Write(maker.Make()));
  }
  SECTION("by speaking") { REQUIRE(send(bad.connection(), "hello", 5, MSG_NOSIGNAL) == 5); }
  CHECK(bad.SeesEnd());
  REQUIRE(Soon([&] { return rig.Counters().quarantined == 1; }));
  REQUIRE(good.writer().Write(RecordMaker(2).Make()));
  CHECK(Soon([&] { return rig.queue.size() == 2; }));
  CHECK(rig.Counters().producers == 1);
  CHECK(TestProducer(rig.path).status() == EACCES);
  rig.handoff->Stop();
  CHECK(rig.log.find("quarantined") != std::string::npos);
}

TEST_CASE("hand-off: refusals are answered with an errno and counted", "[handoff]") {
  HandoffSettings settings;
  settings.limits.connections_per_process = 1;
  Rig rig(settings);
  CHECK(TestProducer(rig.path, "nonsense").status() == EPROTO);
  CHECK(TestProducer(rig.path, HelloPacket() + "more").status() == EPROTO);
  CHECK(TestProducer(rig.path, std::string(20000, 'x')).status() == EPROTO);
  TestProducer only(rig.path);
  CHECK(only.attached());
  CHECK(TestProducer(rig.path).status() == EMFILE);
  { TestProducer silent(rig.path, ""); }
  CHECK(Soon([&] { return rig.Counters().refused == 5; }));
  CHECK(rig.Counters().attached == 1);
}

TEST_CASE("hand-off: users who are not allowed", "[handoff]") {
  HandoffSettings settings;
  settings.allowed_uids = {geteuid() + 1};
  Rig rig(settings);
  CHECK(TestProducer(rig.path).status() == EACCES);
}

TEST_CASE("hand-off: who says nothing does not keep others out", "[handoff]") {
  Rig rig;
  std::vector<std::unique_ptr<TestProducer>> silent;
  for (size_t i = 0; i < 2 * Handoff::kMaxPending; ++i) {
    silent.push_back(std::make_unique<TestProducer>(rig.path, ""));
    REQUIRE(silent.back()->connected());
  }
  CHECK(TestProducer(rig.path).attached());
  CHECK(silent.front()->SeesEnd());
  CHECK(silent.back()->SeesEnd());  // a second later
  CHECK(Soon([&] { return rig.Counters().refused == silent.size(); }));
}

TEST_CASE("hand-off: the end: told, drained, the file removed, the connection closed last", "[handoff]") {
  Rig rig;
  TestProducer producer(rig.path);
  REQUIRE(producer.attached());
  for (uint64_t n = 1; n <= 2000; ++n) REQUIRE(producer.writer().Write(RecordMaker(n).Make()));
  rig.handoff->Stop();
  CHECK(producer.ring()->state == SPANTAP_RING_CLOSED);
  CHECK(producer.ring()->tail == producer.writer().head());
  CHECK(producer.SeesEnd());
  CHECK(rig.queue.size() == 2000);
  CHECK_FALSE(std::filesystem::exists(rig.path));
  CHECK(rig.Counters().spans == 2000);
}

TEST_CASE("hand-off: between two runs spans wait in the rings; each run counts its own", "[handoff]") {
  Rig rig;
  TestProducer producer(rig.path);
  REQUIRE(producer.writer().Write(RecordMaker(1).Make()));
  REQUIRE(Soon([&] { return rig.Counters().spans == 1; }));
  rig.handoff->Pause();
  REQUIRE(producer.writer().Write(RecordMaker(2).Make()));
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  CHECK(rig.ledger.Snapshot().created == 1);
  TestProducer late(rig.path);
  CHECK(late.attached());
  Ledger second;
  SpanQueue queue({100, 1 << 20}, second);
  rig.handoff->Begin(second, &queue);
  REQUIRE(Soon([&] { return second.Snapshot().created == 1; }));
  REQUIRE(Soon([&] { return rig.Counters().spans == 1; }));
  CHECK(rig.Counters().producers == 2);
  CHECK(rig.Counters().attached == 1);  // the late one
  CHECK(producer.ring()->state == SPANTAP_RING_OPEN);
  rig.handoff->Stop();
}

}  // namespace
}  // namespace spantap::handoff_test
