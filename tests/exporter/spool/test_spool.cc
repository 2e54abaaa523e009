// SPDX-License-Identifier: Apache-2.0
//
// The spool's promises without faults: order, taking and settling, restarts, limits, what is in the folder.
#include <fcntl.h>

#include <catch2/catch.hpp>

#include "tests/exporter/spool/spool_test.h"

namespace spantap {
namespace {

using Numbers = std::vector<int>;

mode_t ModeOf(const std::string& path) {
  struct stat info = {};
  REQUIRE(lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

}  // namespace

TEST_CASE("spool: oldest first, taken once, back when put back", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  REQUIRE(s.Open());
  REQUIRE(s.spool->recovered_spans() == 0);
  REQUIRE_FALSE(s.spool->Take().has_value());
  for (int i = 0; i < 4; ++i) REQUIRE(s.Append(i, i + 1));
  REQUIRE((s.spool->stats().batches == 4 && s.spool->stats().spans == 10 && s.spool->stats().segments == 1));
  const auto first = s.spool->Take();
  const auto second = s.spool->Take();
  REQUIRE((Number(first->request) == 0 && first->spans == 1 && first->request == Request(0, 1)));
  REQUIRE((Number(second->request) == 1 && second->spans == 2 && second->id > first->id));
  s.spool->PutBack(first->id);
  s.spool->PutBack(first->id);
  const auto again = s.spool->Take();
  REQUIRE((again->id == first->id && Number(again->request) == 0));
  REQUIRE(s.spool->Done(second->id));
  REQUIRE_FALSE(s.spool->Done(second->id));
  s.spool->PutBack(second->id);
  REQUIRE_FALSE(s.spool->Done(0));
  REQUIRE_FALSE(s.spool->Done(999));
  REQUIRE(s.spool->stats().spans == 8);
  REQUIRE(s.Drain() == Numbers{2, 3});
  REQUIRE(s.spool->Done(again->id));
  REQUIRE((s.spool->stats().batches == 0 && s.spool->stats().bytes == 0 && s.spool->stats().segments == 0));
  REQUIRE(Files(folder.spool()).empty());
  REQUIRE(s.Append(5));
  REQUIRE(s.Drain() == Numbers{5});
  REQUIRE((s.losses.empty() && s.log.empty()));
}

TEST_CASE("spool: a restart finds what is not done, in order", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  s.settings.segment_bytes = 4096;
  s.settings.max_bytes = 1 << 20;
  REQUIRE(s.Open());
  for (int i = 0; i < 40; ++i) REQUIRE(s.Append(i, 2, 500));
  REQUIRE(s.spool->stats().segments > 4);
  for (int i = 0; i < 10; ++i) REQUIRE(s.spool->Done(s.spool->Take()->id));
  REQUIRE(s.spool->Take().has_value());  // in flight when the program ends
  REQUIRE(s.Open());
  REQUIRE(s.spool->recovered_spans() == 60);
  REQUIRE(s.Logged("found 60 spans in 30 batches"));
  REQUIRE(s.Append(40));
  Numbers expected;
  for (int i = 10; i < 41; ++i) expected.push_back(i);
  REQUIRE(s.Peek() == expected);
  REQUIRE(s.Drain() == expected);
  REQUIRE(s.Open());
  REQUIRE(s.spool->recovered_spans() == 0);
  REQUIRE(s.losses.empty());
}

TEST_CASE("spool: what is refused, and that it leaves no trace", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  s.settings.max_bytes = 20000;
  REQUIRE(s.Open());
  REQUIRE(s.spool->Append(Request(1, 2), 3).code() == absl::StatusCode::kInvalidArgument);
  REQUIRE(s.spool->Append("not a request", 1).code() == absl::StatusCode::kInvalidArgument);
  REQUIRE(s.spool->Append("", 0).code() == absl::StatusCode::kInvalidArgument);
  REQUIRE(s.spool->Append(Request(1, 1, 20000), 1).code() == absl::StatusCode::kResourceExhausted);
  REQUIRE((Files(folder.spool()).empty() && s.losses.empty()));
  REQUIRE(s.Append(1, 1, 19000));  // larger than a segment: it gets one of its own
  REQUIRE(s.Drain() == Numbers{1});
}

TEST_CASE("spool: at max_bytes the oldest go, never one that is taken", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  s.settings.max_bytes = 40000;  // segments of 5000
  REQUIRE(s.Open());
  REQUIRE(s.Append(0, 3, 1000));
  const auto taken = s.spool->Take();
  for (int i = 1; i < 100; ++i) {
    REQUIRE(s.Append(i, 2, 1000));
    REQUIRE(s.spool->stats().bytes <= 40000);
  }
  const Numbers left = s.Peek();
  REQUIRE(left.size() >= 26);
  REQUIRE(left.back() == 99);
  // The segment of the taken one was spared as a whole; behind it the oldest are missing, without further gaps.
  REQUIRE((left[0] == 1 && left[1] == 2 && left[2] == 3));
  for (size_t i = 4; i < left.size(); ++i) REQUIRE(left[i] == left[i - 1] + 1);
  REQUIRE(s.losses[SpoolLoss::kEvicted] == 2 * (99 - left.size()));
  REQUIRE(s.spool->stats().spans == 3 + 2 * left.size());
  REQUIRE(s.spool->Done(taken->id));
  REQUIRE(s.losses.size() == 1);
}

TEST_CASE("spool: full of batches in flight, it refuses and gives up nothing", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  s.settings.max_bytes = 5000;
  REQUIRE(s.Open());
  REQUIRE(s.Append(1, 1, 3000));
  const auto taken = s.spool->Take();
  REQUIRE_FALSE(s.Append(2, 1, 3000));
  REQUIRE(s.status.code() == absl::StatusCode::kResourceExhausted);
  s.spool->PutBack(taken->id);
  REQUIRE(s.Append(2, 1, 3000));
  REQUIRE(s.losses[SpoolLoss::kEvicted] == 1);
  REQUIRE_FALSE(s.spool->Done(taken->id));
  REQUIRE(s.Drain() == Numbers{2});
}

TEST_CASE("spool: batches grow too old, by the wall clock", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  s.settings.max_age = absl::Hours(1);
  REQUIRE(s.Open());
  const absl::Time start = s.now;
  REQUIRE(s.Append(1, 2));
  s.now = start + absl::Minutes(30);
  REQUIRE(s.Append(2, 3));
  s.now = start + absl::Minutes(60);
  REQUIRE(s.Peek() == Numbers{1, 2});
  const auto taken = s.spool->Take();
  s.now = start + absl::Minutes(61);
  REQUIRE(s.Append(3));  // what is taken does not expire...
  REQUIRE(s.losses.empty());
  s.spool->PutBack(taken->id);
  REQUIRE(s.Peek() == Numbers{2, 3});  // ...until it is put back
  REQUIRE(s.losses[SpoolLoss::kExpired] == 2);
  REQUIRE(s.Open());
  REQUIRE(s.spool->recovered_spans() == 4);
  // A restart after a long time: found, counted, then expired.
  s.now = start + absl::Hours(30);
  REQUIRE(s.Open());
  REQUIRE((s.spool->recovered_spans() == 4 && s.losses[SpoolLoss::kExpired] == 2));
  REQUIRE_FALSE(s.spool->Take().has_value());
  REQUIRE((s.losses[SpoolLoss::kExpired] == 6 && Files(folder.spool()).empty()));
}

TEST_CASE("spool: the clock jumps both ways", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  s.settings.max_age = absl::Hours(1);
  s.settings.max_bytes = 40000;
  REQUIRE(s.Open());
  REQUIRE(s.Append(1, 1, 3000));
  s.now -= absl::Hours(24 * 365);
  REQUIRE(s.Append(2, 1, 3000));  // a new segment, and younger by name too
  REQUIRE(s.Open());
  REQUIRE(s.Peek() == Numbers{1, 2});
  s.now = absl::UnixEpoch() - absl::Hours(1);
  REQUIRE(s.Append(3, 1, 3000));
  REQUIRE(s.Open());
  REQUIRE(s.Peek() == Numbers{1, 2, 3});
  REQUIRE(s.losses.empty());
}

TEST_CASE("spool: one process, private files, made with its folder", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  OpenSpool other(folder.spool());
  REQUIRE(s.Open());
  REQUIRE_FALSE(other.Open());
  REQUIRE(other.status.code() == absl::StatusCode::kFailedPrecondition);
  REQUIRE(s.Append(1));
  REQUIRE(ModeOf(folder.spool()) == 0700);
  REQUIRE(ModeOf(folder.spool() + "/lock") == 0600);
  REQUIRE(ModeOf(folder.spool() + "/" + Files(folder.spool())[0]) == 0600);
  for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(fd.path(), gone);
    if (target.find(folder.path()) == std::string::npos) continue;
    REQUIRE((fcntl(std::stoi(fd.path().filename()), F_GETFD) & FD_CLOEXEC) != 0);
  }
  s.spool.reset();
  REQUIRE(other.Open());

  OpenSpool nowhere(folder.path() + "/not/there");
  REQUIRE_FALSE(nowhere.Open());
  WriteFile(folder.path() + "/file", "x");
  OpenSpool file(folder.path() + "/file");
  REQUIRE_FALSE(file.Open());
}

TEST_CASE("spool: foreign files are neither read nor touched", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  REQUIRE(s.Open());
  REQUIRE(s.Append(1));
  const std::string name = Files(folder.spool())[0];
  const std::string dir = folder.spool() + "/";
  s.spool.reset();
  WriteFile(dir + "notes.txt", "x");
  WriteFile(dir + "0123.seg", "x");
  WriteFile(dir + "0123456789ABCDEF.seg", "x");
  WriteFile(dir + "ffffffffffffffff.seg", "x");
  WriteFile(folder.path() + "/elsewhere", ReadFile(dir + name));
  REQUIRE(symlink((folder.path() + "/elsewhere").c_str(), (dir + "0000000000000001.seg").c_str()) == 0);
  REQUIRE(mkfifo((dir + "0000000000000002.seg").c_str(), 0600) == 0);
  REQUIRE(mkdir((dir + "0000000000000003.seg").c_str(), 0700) == 0);
  if (geteuid() == 0) {
    WriteFile(dir + "0000000000000004.seg", ReadFile(dir + name));
    REQUIRE(chown((dir + "0000000000000004.seg").c_str(), 12345, 12345) == 0);
  }
  const auto before = Files(folder.spool());
  REQUIRE(s.Open());
  REQUIRE(s.spool->recovered_spans() == 1);
  REQUIRE(s.Drain() == Numbers{1});
  REQUIRE(Files(folder.spool()).size() == before.size() - 1);
  REQUIRE((s.losses.empty() && s.spool->stats().damaged_segments == 0));
}

TEST_CASE("spool: many small batches are bounded in number", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  s.settings.max_batches = 1000;
  s.settings.segment_bytes = 4096;
  REQUIRE(s.Open());
  for (int i = 0; i < 1500; ++i) {
    REQUIRE(s.Append(i));
    REQUIRE(s.spool->stats().batches <= 1000);
  }
  const uint64_t left = s.spool->stats().batches;
  REQUIRE((left > 900 && left + s.losses[SpoolLoss::kEvicted] == 1500));
  // A start with a smaller bound looks at no more; the rest waits for the next one.
  s.settings.max_batches = 500;
  REQUIRE(s.Open());
  const uint64_t first = s.spool->recovered_spans();
  REQUIRE((first >= 500 && first < 600 && s.Logged("the rest is looked at after the next start")));
  REQUIRE(s.Drain().size() == first);
  REQUIRE(s.Open());
  REQUIRE(s.spool->recovered_spans() == left - first);
}

}  // namespace spantap
