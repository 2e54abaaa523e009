// SPDX-License-Identifier: Apache-2.0
//
// A disk that is full, read-only, limited or broken: every call returns, nothing is promised that is not there, and
// when the disk works again so does the spool.
#include <sys/mount.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "exporter/spool/disk_spool.h"
#include "tests/exporter/spool/fault_io.h"
#include "tests/exporter/spool/spool_test.h"

namespace spantap {
namespace {

using Numbers = std::vector<int>;

Numbers Sequence(int begin, int end) {
  Numbers numbers;
  for (int i = begin; i < end; ++i) numbers.push_back(i);
  return numbers;
}

// A file system of that size, if this user may mount one.
struct SmallDisk {
  explicit SmallDisk(const std::string& path, const char* size) : path(path) {
    mounted = mkdir(path.c_str(), 0700) == 0 && mount("none", path.c_str(), "tmpfs", 0, size) == 0;
    if (!mounted) WARN("skipped: no file system can be mounted here");
  }
  ~SmallDisk() {
    if (mounted) umount2(path.c_str(), MNT_DETACH);
  }
  bool Remount(unsigned long flags) const {
    return mount("none", path.c_str(), "tmpfs", MS_REMOUNT | flags, nullptr) == 0;
  }

  const std::string path;
  bool mounted = false;
};

}  // namespace

TEST_CASE("spool disk: full, then room again", "[spool]") {
  TempFolder folder;
  SmallDisk disk(folder.spool(), "size=256k");
  if (!disk.mounted) return;
  OpenSpool s(folder.spool());
  s.settings.segment_bytes = 40000;
  REQUIRE(s.Open());
  int appended = 0;
  while (s.Append(appended, 1, 9000)) ++appended;
  REQUIRE((appended > 10 && appended < 29));
  REQUIRE(s.status.code() == absl::StatusCode::kResourceExhausted);
  for (int i = 0; i < 5; ++i) REQUIRE_FALSE(s.Append(1000 + i, 1, 9000));
  REQUIRE(s.spool->stats().append_errors == 6);
  REQUIRE(s.log.size() == 1);  // one line for all of them
  REQUIRE(s.Logged("cannot write batches"));
  REQUIRE(s.Peek() == Sequence(0, appended));
  for (int i = 0; i < 8; ++i) REQUIRE(s.spool->Done(s.spool->Take()->id));
  REQUIRE(s.Append(appended, 1, 9000));
  REQUIRE(s.Logged("works again"));
  REQUIRE(s.Open());
  REQUIRE(s.Drain() == Sequence(8, appended + 1));
  REQUIRE((s.losses.empty() && s.spool->stats().damaged_segments == 0 && Files(folder.spool()).empty()));
}

TEST_CASE("spool disk: read-only while running", "[spool]") {
  TempFolder folder;
  SmallDisk disk(folder.spool(), "size=1m");
  if (!disk.mounted) return;
  OpenSpool s(folder.spool());
  s.settings.segment_bytes = 4096;
  REQUIRE(s.Open());
  for (int i = 0; i < 9; ++i) REQUIRE(s.Append(i, 1, 1000));
  s.spool.reset();  // an open file would keep the disk writable
  REQUIRE(disk.Remount(MS_RDONLY));
  REQUIRE_FALSE(s.Open());
  REQUIRE(disk.Remount(0));
  // Opened, and no file open for writing: the state after a restart.
  REQUIRE(s.Open());
  if (!disk.Remount(MS_RDONLY)) {
    // The lock file is open for writing, so a tmpfs refuses; the same errors come from the hook then.
    ScopedIoHook hook([](IoCall call) { return call == IoCall::kRead || call == IoCall::kOpen ? kProceed : EROFS; });
    REQUIRE_FALSE(s.Append(100));
    REQUIRE(s.Drain() == Sequence(0, 9));
    REQUIRE(s.spool->stats().batches == 0);
    REQUIRE(s.spool->stats().segments == 4);  // three that are done with, and the one that was just made
    REQUIRE(s.Logged("cannot delete what is done"));
  }
  REQUIRE(s.Append(100));
  REQUIRE(s.spool->stats().segments == 1);
  REQUIRE(s.Drain() == Numbers{100});
  REQUIRE(s.losses.empty());
}

TEST_CASE("spool disk: nothing is promised before it is synced", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  REQUIRE(s.Open());
  std::vector<IoCall> calls;
  ScopedIoHook hook([&](IoCall call) {
    calls.push_back(call);
    return kProceed;
  });
  REQUIRE(s.Append(0));
  REQUIRE(calls == std::vector<IoCall>{IoCall::kOpen, IoCall::kWrite, IoCall::kSyncData, IoCall::kSync});
  calls.clear();
  REQUIRE(s.Append(1));
  REQUIRE(calls == std::vector<IoCall>{IoCall::kWrite, IoCall::kSyncData});
  calls.clear();
  REQUIRE(s.Drain().size() == 2);
  REQUIRE((calls[calls.size() - 2] == IoCall::kUnlink && calls.back() == IoCall::kSync));
}

TEST_CASE("spool disk: a limit on file sizes does not end the process", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  REQUIRE(s.Open());
  REQUIRE(s.Append(0, 1, 5000));
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{9000, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const bool second = s.Append(1, 1, 5000);  // to the same segment: part of it fits
  const bool third = s.Append(2, 1, 5000);   // to a new one
  const bool fourth = s.Append(3, 1, 20000);
  setrlimit(RLIMIT_FSIZE, &before);
  REQUIRE((!second && third && !fourth));
  REQUIRE(s.Append(4, 1, 5000));
  REQUIRE(s.Open());
  REQUIRE(s.spool->stats().torn_segments == 0);
  REQUIRE(s.Drain() == Numbers{0, 2, 4});
}

TEST_CASE("spool disk: no descriptors left", "[spool]") {
  TempFolder folder;
  OpenSpool s(folder.spool());
  s.settings.segment_bytes = 4096;
  REQUIRE(s.Open());
  for (int i = 0; i < 8; ++i) REQUIRE(s.Append(i, 1, 1000));
  const auto taken = s.spool->Take();
  {
    ScopedIoHook hook([](IoCall call) { return call == IoCall::kOpen ? EMFILE : kProceed; });
    for (int i = 0; i < 10; ++i) REQUIRE_FALSE(s.spool->Take().has_value());
    REQUIRE(s.Append(8, 1, 1000));        // the segment is open
    REQUIRE_FALSE(s.Append(9, 1, 1000));  // a new one cannot be
    REQUIRE(s.spool->Done(taken->id));    // is not marked on disk...
  }
  REQUIRE(s.losses.empty());
  REQUIRE(s.Peek() == Sequence(1, 9));
  REQUIRE(s.Open());
  REQUIRE(s.Drain() == Sequence(0, 9));  // ...so it comes once more, as Done() cannot help
}

TEST_CASE("spool disk: each call fails in turn, for good or once", "[spool]") {
  const std::vector<int> errors{EIO, ENOSPC, EROFS, EDQUOT, EACCES, ENOMEM, kShort};
  for (const int error : errors) {
    for (const bool for_good : {false, true}) {
      for (int nth = 0; nth < 60; ++nth) {
        INFO("error " << error << " nth " << nth << " for good " << for_good);
        TempFolder folder;
        OpenSpool s(folder.spool());
        s.settings.segment_bytes = 4096;
        s.settings.max_bytes = 16000;
        REQUIRE(s.Open());
        Numbers promised, settled, seen;
        int calls = 0;
        {
          ScopedIoHook hook([&](IoCall) { return calls++ == nth || (for_good && calls > nth) ? error : kProceed; });
          for (int i = 0; i < 8; ++i) {
            if (s.Append(i, 1, 1500)) promised.push_back(i);
            if (i % 3 != 2) continue;
            auto entry = s.spool->Take();
            if (!entry.has_value()) continue;
            settled.push_back(Number(entry->request));
            s.spool->Done(entry->id);
          }
        }
        const uint64_t lost = s.losses[SpoolLoss::kEvicted] + s.losses[SpoolLoss::kDamaged];
        // The disk works again: what was promised is there, but for what was reported, and nothing twice.
        REQUIRE(s.spool->stats().batches == promised.size() - settled.size() - lost);
        REQUIRE(s.Append(100));
        promised.push_back(100);
        seen = s.Drain();
        REQUIRE(seen.size() + settled.size() + lost == promised.size());
        for (const int n : seen) {
          REQUIRE(std::count(promised.begin(), promised.end(), n) == 1);
          REQUIRE(std::count(settled.begin(), settled.end(), n) == 0);
          REQUIRE(std::count(seen.begin(), seen.end(), n) == 1);
        }
        REQUIRE(s.log.size() <= 60);
      }
    }
  }
}

TEST_CASE("spool disk: start on a disk that fails", "[spool]") {
  for (int nth = 0; nth < 40; ++nth) {
    for (const int error : {EIO, EROFS, EMFILE}) {
      TempFolder folder;
      OpenSpool s(folder.spool());
      s.settings.segment_bytes = 4096;
      REQUIRE(s.Open());
      for (int i = 0; i < 8; ++i) REQUIRE(s.Append(i, 1, 1500));
      s.spool.reset();
      int calls = 0;
      bool opened = false;
      {
        ScopedIoHook hook([&](IoCall) { return calls++ == nth ? error : kProceed; });
        opened = s.Open();
      }
      if (opened) {
        // What could not be read is kept for the next start, or moved aside; the rest is sent.
        const Numbers seen = s.Drain();
        REQUIRE((seen.size() <= 8 && std::is_sorted(seen.begin(), seen.end())));
        REQUIRE(s.spool->recovered_spans() == seen.size());
        REQUIRE((seen.size() == 8 || s.spool->stats().damaged_segments + s.spool->stats().other_errors > 0 ||
                 !s.log.empty()));
      }
      REQUIRE(s.Open());
    }
  }
}

}  // namespace spantap
