// SPDX-License-Identifier: Apache-2.0
//
// Segments that were cut, flipped, swapped, deleted or written by a newer version: the spool opens, sends what is
// intact, counts the rest, and needs nobody to delete anything.
#include <fcntl.h>

#include <catch2/catch.hpp>

#include "exporter/spool/disk_spool.h"
#include "exporter/spool/segment.h"
#include "tests/exporter/spool/spool_test.h"

namespace spantap {
namespace {

using Numbers = std::vector<int>;

// Three batches of one span in one segment; the spool is closed.
struct OneSegment {
  explicit OneSegment(int batches = 3) : s(folder.spool()) {
    REQUIRE(s.Open());
    for (int i = 0; i < batches; ++i) REQUIRE(s.Append(i));
    s.spool.reset();
    name = Files(folder.spool())[0];
    bytes = ReadFile(path());
  }
  std::string path() const { return folder.spool() + "/" + name; }

  TempFolder folder;
  OpenSpool s;
  std::string name;
  std::string bytes;
};

}  // namespace

TEST_CASE("spool damage: cut at every byte", "[spool]") {
  OneSegment one;
  size_t found = 0;
  for (size_t size = 0; size < one.bytes.size(); ++size) {
    WriteFile(one.path(), absl::string_view(one.bytes).substr(0, size));
    REQUIRE(one.s.Open());
    const Numbers left = one.s.Peek();
    for (size_t i = 0; i < left.size(); ++i) REQUIRE(left[i] == static_cast<int>(i));
    REQUIRE((left.size() >= found && left.size() <= 3));
    found = left.size();
    REQUIRE(one.s.spool->recovered_spans() == left.size());
    REQUIRE(one.s.spool->stats().damaged_segments == 0);
    if (left.empty()) REQUIRE(Files(one.folder.spool()).empty());
    // Cut once: the next start finds nothing to repair.
    REQUIRE(one.s.Open());
    REQUIRE((one.s.spool->stats().torn_segments == 0 && one.s.Peek() == left));
    one.s.Drain();
    REQUIRE(Files(one.folder.spool()).empty());
  }
  REQUIRE(one.s.losses.empty());
}

TEST_CASE("spool damage: every byte flipped", "[spool]") {
  OneSegment one;
  for (size_t at = 0; at < one.bytes.size(); ++at) {
    std::string bytes = one.bytes;
    bytes[at] ^= static_cast<char>(1 << at % 8);
    WriteFile(one.path(), bytes);
    REQUIRE(one.s.Open());
    const uint64_t recovered = one.s.spool->recovered_spans();
    const uint64_t damaged = one.s.spool->stats().damaged_segments;
    REQUIRE((recovered >= 2 && damaged <= 1 && recovered + damaged >= 3));
    REQUIRE(one.s.Drain().size() == recovered);
    // What was damaged is kept, under a name that is not read again.
    const auto files = Files(one.folder.spool());
    REQUIRE(files == (damaged == 1 ? std::vector<std::string>{one.name + ".damaged"} : std::vector<std::string>{}));
    if (damaged == 1) REQUIRE(ReadFile(one.path() + ".damaged").size() == bytes.size());
    REQUIRE(one.s.Open());
    REQUIRE((one.s.spool->recovered_spans() == 0 && one.s.spool->stats().damaged_segments == damaged));
    one.s.spool.reset();
    std::filesystem::remove(one.path() + ".damaged");
  }
  REQUIRE(one.s.losses.empty());
}

TEST_CASE("spool damage: after it was counted it is reported as lost", "[spool]") {
  OneSegment one;
  REQUIRE(one.s.Open());
  std::string bytes = one.bytes;
  bytes[kSegmentHeaderBytes + kRecordHeaderBytes] ^= 1;
  WriteFile(one.path(), bytes);
  REQUIRE(one.s.Peek() == Numbers{1, 2});
  REQUIRE(one.s.losses[SpoolLoss::kDamaged] == 1);
  // Shorter than a batch: a few tries, then lost.
  WriteFile(one.path(), absl::string_view(bytes).substr(0, bytes.size() - 10));
  for (int i = 0; i < 4; ++i) one.s.Peek();
  REQUIRE(one.s.Peek() == Numbers{1});
  REQUIRE(one.s.losses[SpoolLoss::kDamaged] == 2);
  REQUIRE(one.s.Drain() == Numbers{1});
  REQUIRE(Files(one.folder.spool()) == std::vector<std::string>{one.name + ".damaged"});
  REQUIRE(one.s.Append(7));
  REQUIRE(one.s.Drain() == Numbers{7});
}

TEST_CASE("spool damage: files that somebody deletes", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  s.settings.segment_bytes = 4096;
  REQUIRE(s.Open());
  for (int i = 0; i < 9; ++i) REQUIRE(s.Append(i, 1, 1000));
  REQUIRE(Files(folder.spool()).size() == 3);
  const auto taken = s.spool->Take();
  for (const std::string& name : Files(folder.spool())) std::filesystem::remove(folder.spool() + "/" + name);
  REQUIRE_FALSE(s.spool->Take().has_value());
  REQUIRE(s.losses[SpoolLoss::kDamaged] == 8);
  REQUIRE(s.spool->Done(taken->id));
  REQUIRE((s.spool->stats().batches == 0 && s.spool->stats().segments == 0));
  // A segment being written to is noticed before anything is promised.
  REQUIRE(s.Append(20));
  std::filesystem::remove(folder.spool() + "/" + Files(folder.spool())[0]);
  REQUIRE(s.Append(21));
  REQUIRE(s.Drain() == Numbers{21});
  REQUIRE(s.losses[SpoolLoss::kDamaged] == 9);
}

TEST_CASE("spool damage: swapped, missing and copied segments", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  s.settings.segment_bytes = 4096;
  REQUIRE(s.Open());
  for (int i = 0; i < 9; ++i) REQUIRE(s.Append(i, 1, 1000));
  s.spool.reset();
  const auto files = Files(folder.spool());
  const std::string dir = folder.spool() + "/";
  std::filesystem::rename(dir + files[0], dir + "x");
  std::filesystem::rename(dir + files[2], dir + files[0]);
  std::filesystem::rename(dir + "x", dir + files[2]);
  std::filesystem::remove(dir + files[1]);
  REQUIRE(s.Open());
  REQUIRE(s.Drain() == Numbers{6, 7, 8, 0, 1, 2});
  REQUIRE((s.losses.empty() && s.spool->stats().damaged_segments == 0 && Files(folder.spool()).empty()));
}

TEST_CASE("spool damage: a newer version's segments stay as they are", "[spool]") {
  OneSegment one;
  const std::string newer = EncodeSegmentHeader({kSegmentVersion + 1, 5, 5}) + "of another kind";
  const std::string path = one.folder.spool() + "/0000000000000001.seg";
  WriteFile(path, newer);
  // The same claim without the checksum is damage.
  std::string claim = one.bytes;
  claim[8] = 2;
  WriteFile(one.folder.spool() + "/0000000000000002.seg", claim);
  REQUIRE(one.s.Open());
  REQUIRE((one.s.spool->stats().newer_segments == 1 && one.s.spool->stats().damaged_segments == 1));
  REQUIRE(one.s.Logged("1 segments of a newer version"));
  REQUIRE(one.s.Drain() == Numbers{0, 1, 2, 0, 1, 2});
  REQUIRE(ReadFile(path) == newer);
}

TEST_CASE("spool damage: damaged segments are kept in bounded number and size", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  REQUIRE(s.Open());
  s.spool.reset();
  for (int i = 10; i < 40; ++i)
    WriteFile(absl::StrCat(folder.spool(), "/00000000000000", i, ".seg"), std::string(1000, 'g'));
  REQUIRE(s.Open());
  REQUIRE(s.spool->stats().damaged_segments == 30);
  REQUIRE(s.spool->stats().damaged_bytes == 30000);
  const auto kept = Files(folder.spool());
  REQUIRE(kept.size() == DiskSpool::kMaxDamagedFiles);
  REQUIRE(kept.back() == "0000000000000039.seg.damaged");
  s.settings.max_bytes = 16000;  // an eighth of it: two of them
  REQUIRE(s.Open());
  REQUIRE(Files(folder.spool()).size() == 2);
  REQUIRE(s.Append(1));
  REQUIRE(s.Drain() == Numbers{1});
}

TEST_CASE("spool damage: a file of a terabyte costs nothing", "[spool]") {
  OneSegment one;
  const int fd = open(one.path().c_str(), O_WRONLY | O_CLOEXEC);
  const bool sparse = ftruncate(fd, off_t{1} << 40) == 0;
  close(fd);
  if (!sparse) {
    WARN("skipped: no sparse files here");
    return;
  }
  REQUIRE(one.s.Open());
  REQUIRE(one.s.Drain() == Numbers{0, 1, 2});
}

}  // namespace spantap
