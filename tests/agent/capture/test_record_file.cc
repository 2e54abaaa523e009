// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>

#include "absl/strings/match.h"
#include "agent/capture/record_check.h"
#include "agent/capture/record_file.h"
#include "tests/agent/capture/event_maker.h"

namespace spantap {
namespace {

constexpr size_t kOpenBytes = sizeof(spantap_open_event);

class TempDir {
 public:
  TempDir() {
    const char* base = getenv("TMPDIR");
    std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/spantap-record-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    for (const std::string& name : names_) unlink(name.c_str());
    rmdir(path_.c_str());
  }
  std::string File(const std::string& name) {
    names_.push_back(path_ + "/" + name);
    return names_.back();
  }

 private:
  std::string path_;
  std::vector<std::string> names_;
};

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void Spit(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

struct Collector final : EventSink {
  void OnEvent(const EventView& event) override {
    CHECK(reinterpret_cast<uintptr_t>(event.header) % 8 == 0);
    records.push_back(std::string(event.record));
    order += 'e';
  }
  void OnTime(uint64_t mono_ns) override {
    times.push_back(mono_ns);
    order += 't';
  }
  std::vector<std::string> records;
  std::vector<uint64_t> times;
  std::string order;
};

void Drain(ReplaySource& source, EventSink& sink) {
  while (!source.Finished()) REQUIRE(source.Poll(sink, 0).ok());
}

EventRecord Loss(uint64_t captured, uint64_t ring_full, uint64_t conn_state) {
  spantap_loss_event event = {};
  event.header.type = SPANTAP_EVENT_LOSS;
  event.header.mono_ns = 9;
  event.counters[SPANTAP_COUNT_CAPTURED] = captured;
  event.counters[SPANTAP_COUNT_DROP_RING_FULL] = ring_full;
  event.counters[SPANTAP_COUNT_DROP_CONN_STATE] = conn_state;
  event.counters[SPANTAP_COUNT_UNREADABLE] = 3;
  return EventRecord(event, "");
}

std::vector<EventRecord> SomeEvents() {
  std::vector<EventRecord> events;
  events.push_back(MakeOpen(1, SPANTAP_ROLE_ACCEPTED, true, 10));
  events.push_back(MakeData({1, 0, 0, SPANTAP_F_CALL_START, 20}, "GET / HTTP/1.1\r\nCookie: c1\r\n\r\n"));
  events.push_back(MakeData({1, 0, 0, SPANTAP_F_CALL_START | SPANTAP_F_WRITE, 15}, "HTTP/1.1 200 OK\r\n\r\nab"));
  events.push_back(MakeEnd(1, SPANTAP_END_CLOSED, 0, 29, 21, 30));
  events.push_back(Loss(6, 1, 1));
  return events;
}

std::string WriteSome(const std::string& path, bool with_secrets) {
  auto writer = RecordWriter::Create(path, with_secrets);
  REQUIRE(writer.ok());
  for (EventRecord& event : SomeEvents()) (*writer)->OnEvent(event.view());
  CHECK((*writer)->records() == 5);
  REQUIRE((*writer)->Close().ok());
  return Slurp(path);
}

TEST_CASE("record file: what was written is what is replayed", "[record]") {
  TempDir dir;
  const std::string path = dir.File("a");
  const std::string bytes = WriteSome(path, true);
  struct stat file;
  REQUIRE(stat(path.c_str(), &file) == 0);
  CHECK((file.st_mode & 0777) == 0600);
  CHECK(bytes.substr(0, 16) == std::string("SPANTAP1\2\0\0\0\x10\0\0\0", 16));

  auto source = ReplaySource::Open(path);
  REQUIRE(source.ok());
  Collector got;
  Drain(**source, got);
  std::vector<EventRecord> events = SomeEvents();
  REQUIRE(got.records.size() == events.size());
  for (size_t i = 0; i < events.size(); ++i) CHECK(got.records[i] == std::string(events[i].view().record));
  CHECK_FALSE((*source)->Truncated());
  CHECK((*source)->records() == 5);
  // Before each event that is later than all before; never backwards.
  CHECK(got.times == std::vector<uint64_t>{10, 20, 30});
  CHECK(got.order == "teteetee");
}

TEST_CASE("record file: secrets and bodies do not reach the disk", "[record]") {
  TempDir dir;
  const std::string bytes = WriteSome(dir.File("a"), false);
  CHECK(bytes.find("Cookie: **\r\n") != std::string::npos);
  CHECK(bytes.find("c1") == std::string::npos);
  CHECK(bytes.find("\r\n\r\nxx") != std::string::npos);
  CHECK(bytes.size() == WriteSome(dir.File("b"), true).size());
}

TEST_CASE("record file: the books of a replay balance", "[record]") {
  TempDir dir;
  const std::string path = dir.File("a");
  std::string bytes = WriteSome(path, true);
  // A type of a later version, and a record that contradicts itself.
  EventRecord unknown = MakeEnd(1, 1, 0, 0, 0), liar = MakeData({}, "abcd");
  unknown.header().type = 99;
  reinterpret_cast<spantap_data_event*>(liar.bytes())->copied_bytes = 5;
  for (EventRecord* record : {&unknown, &liar}) {
    bytes.append(record->bytes(), (record->size() + 7) / 8 * 8);
  }
  Spit(path, bytes);
  auto source = ReplaySource::Open(path);
  REQUIRE(source.ok());
  Collector got;
  Drain(**source, got);
  CHECK_FALSE((*source)->Truncated());
  CHECK(got.records.size() == 5);
  const SourceCounters counters = (*source)->Counters();
  CHECK(counters.delivered == 4);  // the kernel's; not the LOSS record
  CHECK(counters.drop_ring_full == 1);
  CHECK(counters.drop_conn_state == 1);
  CHECK(counters.drop_malformed == 2);
  CHECK(counters.unreadable == 3);
  CHECK(counters.captured == 8);
}

TEST_CASE("record file: open records of version 1, which do not tell who dialled, are completed", "[record]") {
  constexpr size_t kOldBytes = 104;
  TempDir dir;
  const std::string path = dir.File("a");
  EventRecord open = MakeOpen(1, SPANTAP_ROLE_CONNECTED, true, 10);
  EventRecord data = MakeData({1, 0, 0, SPANTAP_F_WRITE, 20}, "GET / HTTP/1.1\r\n\r\n");
  open.header().size = kOldBytes;
  const std::string file_header("SPANTAP1\1\0\0\0\x10\0\0\0", 16);
  const std::string second = std::string(data.bytes(), data.size()) + std::string(-data.size() % 8, '\0');
  Spit(path, file_header + std::string(open.bytes(), kOldBytes) + second);
  auto source = ReplaySource::Open(path);
  REQUIRE(source.ok());
  Collector got;
  Drain(**source, got);
  open.header().size = kOpenBytes;  // all that it lacked is 0 in `open`, too
  CHECK(got.records == std::vector<std::string>{std::string(open.view().record), std::string(data.view().record)});
  CHECK((*source)->Counters().delivered == 2);

  // Shorter than the first version's: no open record at all.
  open.header().size = kOldBytes - 8;
  Spit(path, file_header + std::string(open.bytes(), kOldBytes - 8) + second);
  auto broken = ReplaySource::Open(path);
  REQUIRE(broken.ok());
  Collector rest;
  Drain(**broken, rest);
  CHECK(rest.records == std::vector<std::string>{std::string(data.view().record)});
  CHECK((*broken)->Counters().drop_malformed == 1);
}

TEST_CASE("record file: cut at every byte, whole records are delivered", "[record]") {
  TempDir dir;
  const std::string path = dir.File("a");
  const std::string bytes = WriteSome(path, true);
  std::vector<size_t> ends, padded = {16};
  for (EventRecord& event : SomeEvents()) {
    ends.push_back(padded.back() + event.size());
    padded.push_back(padded.back() + (event.size() + 7) / 8 * 8);
  }
  for (size_t size = 0; size <= bytes.size(); ++size) {
    INFO("size " << size);
    Spit(path, bytes.substr(0, size));
    auto source = ReplaySource::Open(path);
    if (size < 16) {
      CHECK(source.status().message() == path + " is not a spantap record file");
      continue;
    }
    REQUIRE(source.ok());
    Collector got;
    Drain(**source, got);
    size_t whole = 0;
    while (whole < ends.size() && ends[whole] <= size) ++whole;
    CHECK(got.records.size() == whole);
    CHECK((*source)->Truncated() == (std::find(padded.begin(), padded.end(), size) == padded.end()));
  }
}

TEST_CASE("record file: a size that cannot be ends the file", "[record]") {
  TempDir dir;
  const std::string path = dir.File("a");
  for (uint32_t size : {0u, 1u, 31u, kMaxRecordBytes + 1, 0xffffffffu}) {
    std::string bytes = WriteSome(path, true);
    memcpy(bytes.data() + 16 + kOpenBytes, &size, sizeof(size));  // the second record's
    Spit(path, bytes);
    auto source = ReplaySource::Open(path);
    REQUIRE(source.ok());
    Collector got;
    Drain(**source, got);
    CHECK(got.records.size() == 1);
    CHECK((*source)->Truncated());
  }
}

TEST_CASE("record file: bad files are refused with a reason", "[record]") {
  TempDir dir;
  const std::string path = dir.File("a"), missing = dir.File("missing");
  std::string bytes = WriteSome(path, true);
  bytes[8] = 7;
  Spit(path, bytes);
  CHECK(ReplaySource::Open(path).status().message() ==
        path + " was written by event version 7, this spantap reads 1 to 2: replay it with the spantap that wrote it");
  bytes[8] = 0;
  Spit(path, bytes);
  CHECK_FALSE(ReplaySource::Open(path).ok());
  bytes[8] = 1;
  bytes[12] = 15;
  Spit(path, bytes);
  CHECK(ReplaySource::Open(path).status().message() == path + " has a damaged header");
  Spit(path, "#!/bin/sh\necho this is something else\n");
  CHECK(ReplaySource::Open(path).status().message() == path + " is not a spantap record file");
  CHECK(ReplaySource::Open(missing).status().message() == "cannot read " + missing + ": No such file or directory");
  CHECK(ReplaySource::Open("/").status().message() == "cannot read /: Is a directory");
}

TEST_CASE("record file: garbage behind the header never breaks the reader", "[record]") {
  TempDir dir;
  const std::string path = dir.File("a");
  const std::string bytes = WriteSome(path, true);
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::string broken = bytes;
    for (int i = 0; i < 4; ++i) broken[16 + random() % (broken.size() - 16)] = static_cast<char>(random());
    Spit(path, broken);
    auto source = ReplaySource::Open(path);
    REQUIRE(source.ok());
    Collector got;
    Drain(**source, got);
    for (const std::string& record : got.records) CHECK(CheckRecord(record) == RecordVerdict::kGood);
    const SourceCounters counters = (*source)->Counters();
    CHECK(counters.captured ==
          counters.delivered + counters.drop_malformed + counters.drop_ring_full + counters.drop_conn_state);
  }
}

TEST_CASE("record file: where it may not be written", "[record]") {
  TempDir dir;
  const std::string link = dir.File("link"), path = dir.File("a");
  REQUIRE(symlink(path.c_str(), link.c_str()) == 0);
  CHECK(RecordWriter::Create(link, false).status().message() ==
        "cannot write " + link + ": it is a symbolic link; name the file itself");
  CHECK(RecordWriter::Create("/no/such/dir/x", false).status().message() ==
        "cannot write /no/such/dir/x: No such file or directory");
  CHECK(RecordWriter::Create("/dev/full", false).status().message() ==
        "cannot write /dev/full: No space left on device");
  Spit(path, "old and longer content, readable by all");
  chmod(path.c_str(), 0644);
  WriteSome(path, true);
  struct stat file;
  REQUIRE(stat(path.c_str(), &file) == 0);
  CHECK((file.st_mode & 0777) == 0600);
}

// A full disk, without one: the file size limit, whose signal is ignored, makes write() fail.
TEST_CASE("record file: a write error says after how many records", "[record]") {
  TempDir dir;
  const std::string path = dir.File("a");
  rlimit old_limit;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit limit = {16 + kOpenBytes * 10 + 50, old_limit.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  auto writer = RecordWriter::Create(path, false);
  absl::Status status;
  if (writer.ok()) {
    for (uint64_t i = 0; i < 5000; ++i) (*writer)->OnEvent(MakeOpen(i, 0, false).view());
    status = (*writer)->status();
    CHECK((*writer)->Close() == status);
    CHECK((*writer)->records() == 10);
  }
  setrlimit(RLIMIT_FSIZE, &old_limit);
  signal(SIGXFSZ, old_handler);
  CHECK(status.message() == "cannot write " + path + ": File too large after 10 records");
  auto source = ReplaySource::Open(path);
  REQUIRE(source.ok());
  Collector got;
  Drain(**source, got);
  CHECK(got.records.size() == 10);
  CHECK((*source)->Truncated());
}

TEST_CASE("record file: what a killed recorder leaves", "[record]") {
  TempDir dir;
  const std::string path = dir.File("a");
  auto writer = RecordWriter::Create(path, false);
  REQUIRE(writer.ok());
  (*writer)->OnEvent(MakeOpen(1, 0, false).view());
  (*writer)->OnTime(5'000'000'000);
  CHECK(Slurp(path).size() == 16 + kOpenBytes);
  (*writer)->OnEvent(MakeOpen(2, 0, false).view());
  (*writer)->OnTime(5'500'000'000);
  CHECK(Slurp(path).size() == 16 + kOpenBytes);
  (*writer)->OnTime(6'000'000'000);
  CHECK(Slurp(path).size() == 16 + 2 * kOpenBytes);
  EventRecord bad = MakeData({}, "abcd");
  bad.header().type = 77;
  (*writer)->OnEvent(bad.view());
  CHECK((*writer)->records() == 2);
}

TEST_CASE("record file: speed", "[.bench]") {
  TempDir dir;
  const std::string path = dir.File("a");
  constexpr uint64_t kRecords = 1'000'000;
  struct Count final : EventSink {
    void OnEvent(const EventView&) override { ++events; }
    void OnTime(uint64_t) override {}
    uint64_t events = 0;
  } count;
  for (bool with_secrets : {true, false}) {
    auto writer = RecordWriter::Create(path, with_secrets);
    REQUIRE(writer.ok());
    const std::string head = "GET /some/path HTTP/1.1\r\nHost: example\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n";
    EventRecord event = MakeData({1, 0, 0, SPANTAP_F_CALL_START, 1}, head);
    auto start = std::chrono::steady_clock::now();
    for (uint64_t i = 0; i < kRecords; ++i) {
      reinterpret_cast<spantap_data_event*>(event.bytes())->position = i * head.size();
      (*writer)->OnEvent(event.view());
    }
    REQUIRE((*writer)->Close().ok());
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::cout << (with_secrets ? "write: " : "write, redacted: ") << kRecords / took.count() / 1e6 << " M records/s\n";
  }
  auto source = ReplaySource::Open(path);
  REQUIRE(source.ok());
  const auto start = std::chrono::steady_clock::now();
  Drain(**source, count);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::cout << "read: " << kRecords / took.count() / 1e6 << " M records/s\n";
  CHECK(count.events == kRecords);
}

}  // namespace
}  // namespace spantap
