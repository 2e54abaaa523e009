// SPDX-License-Identifier: Apache-2.0
//
// kill -9 at every system call and at random instants, then an audit by the parent: no batch whose Append() returned
// is lost, none comes back whose Done() returned, and none is there twice. The child writes down what it does in shared
// memory, which survives it.
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <new>
#include <random>

#include "tests/exporter/spool/fault_io.h"
#include "tests/exporter/spool/spool_test.h"
#include "tests/fakes/rounds.h"

namespace spantap {
namespace {

constexpr int kMaxBatchNumbers = 1 << 16;
// A fork of a program under AddressSanitizer takes 50 times as long: it looks at every eleventh call only.
#ifdef __SANITIZE_ADDRESS__
constexpr int kStride = 11;
#else
constexpr int kStride = 1;
#endif

enum Step : uint8_t { kNothing, kAppending, kAppended, kRefused, kFinishing, kFinished };

struct Diary {
  std::atomic<Step> steps[kMaxBatchNumbers];
  std::atomic<int> next;       // batch number
  std::atomic<int> completed;  // runs of the child that ended by themselves
};

class SharedDiary {
 public:
  SharedDiary() {
    void* memory = mmap(nullptr, sizeof(Diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    diary_ = new (memory) Diary();
  }
  ~SharedDiary() { munmap(diary_, sizeof(Diary)); }
  Diary& operator*() { return *diary_; }
  Diary* operator->() { return diary_; }

 private:
  Diary* diary_;
};

void Append(OpenSpool& s, Diary& diary, size_t bytes) {
  const int number = diary.next++;
  diary.steps[number] = kAppending;
  diary.steps[number] = s.Append(number, 1, bytes) ? kAppended : kRefused;
}

void TakeAndFinish(OpenSpool& s, Diary& diary, bool finish) {
  auto entry = s.spool->Take();
  if (!entry.has_value()) return;
  if (!finish) return s.spool->PutBack(entry->id);
  const int number = Number(entry->request);
  diary.steps[number] = kFinishing;
  s.spool->Done(entry->id);
  diary.steps[number] = kFinished;
}

// Runs `work` in a child; true: it ended by itself.
template <typename Work>
bool InChild(Diary& diary, Work work, int kill_after_us = -1) {
  const int completed = diary.completed;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    work();
    ++diary.completed;
    _exit(0);
  }
  if (kill_after_us >= 0) {
    usleep(static_cast<useconds_t>(kill_after_us));
    kill(child, SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  const bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  REQUIRE((killed || ended));
  return diary.completed > completed;
}

// Opens, looks at everything, and leaves it as it was.
void Audit(OpenSpool& s, Diary& diary) {
  REQUIRE(s.Open());
  const std::vector<int> found = s.Peek();
  REQUIRE(s.spool->recovered_spans() == found.size());
  REQUIRE(std::is_sorted(found.begin(), found.end()));  // by age, hence by number
  REQUIRE(std::adjacent_find(found.begin(), found.end()) == found.end());
  std::vector<bool> there(kMaxBatchNumbers);
  for (const int number : found) {
    REQUIRE((number >= 0 && number < diary.next));
    there[static_cast<size_t>(number)] = true;
  }
  uint64_t lost = 0, back = 0;
  for (int i = 0; i < diary.next; ++i) {
    const Step step = diary.steps[i];
    const bool here = there[static_cast<size_t>(i)];
    lost += step == kAppended && !here ? 1 : 0;
    back += step == kFinished && here ? 1 : 0;
    // From here on it is settled which way the interrupted call went.
    if (step == kAppending) diary.steps[i] = here ? kAppended : kRefused;
    if (step == kFinishing) diary.steps[i] = here ? kAppended : kFinished;
  }
  REQUIRE(back == 0);
  REQUIRE(lost == 0);
  REQUIRE(s.spool->stats().damaged_segments == 0);
  REQUIRE(s.losses.empty());
  s.spool.reset();
}

// Every kind of call, several segments, a whole segment settled, the active one settled, one put back.
void Script(OpenSpool& s, Diary& diary) {
  if (!s.Open()) _exit(3);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) Append(s, diary, 1500);
    TakeAndFinish(s, diary, true);
    TakeAndFinish(s, diary, false);
    TakeAndFinish(s, diary, true);
  }
  while (s.spool->stats().batches > 0) TakeAndFinish(s, diary, true);
  Append(s, diary, 100);
}

}  // namespace

TEST_CASE("spool crash: killed at every system call", "[spool]") {
  for (const int how : {kDieBefore, kDieHalf, kDieAfter}) {
    bool completed = false;
    int nth = 0;
    for (; !completed; nth += kStride) {
      INFO("call " << nth << ", how " << how);
      TempFolder folder;
      SharedDiary diary;
      OpenSpool s(folder.spool());
      s.settings.segment_bytes = 4096;
      completed = InChild(*diary, [&] {
        int calls = 0;
        ScopedIoHook hook([&](IoCall) { return calls++ == nth ? how : kProceed; });
        Script(s, *diary);
      });
      Audit(s, *diary);
      // And again in the next run, which also continues and ends in order.
      REQUIRE(InChild(*diary, [&] { Script(s, *diary); }));
      Audit(s, *diary);
    }
    REQUIRE(nth > 80);
  }
}

TEST_CASE("spool crash: killed at every system call of a start", "[spool]") {
  for (const int how : {kDieBefore, kDieAfter}) {
    bool completed = false;
    for (int nth = 0; !completed; nth += kStride) {
      INFO("call " << nth << ", how " << how);
      TempFolder folder;
      SharedDiary diary;
      OpenSpool s(folder.spool());
      s.settings.segment_bytes = 4096;
      // A start with everything to repair: settled segments that are still there, a torn tail.
      REQUIRE_FALSE(InChild(*diary, [&] {
        if (!s.Open()) _exit(3);
        for (int i = 0; i < 6; ++i) Append(s, *diary, 1500);
        ScopedIoHook hook([&](IoCall call) { return call == IoCall::kUnlink ? EIO : kProceed; });
        for (int i = 0; i < 3; ++i) TakeAndFinish(s, *diary, true);
        io_hook = [](IoCall call) { return call == IoCall::kWrite ? kDieHalf : kProceed; };
        Append(s, *diary, 1500);
      }));
      completed = InChild(*diary, [&] {
        int calls = 0;
        ScopedIoHook hook([&](IoCall) { return calls++ == nth ? how : kProceed; });
        if (!s.Open()) _exit(3);
      });
      Audit(s, *diary);
    }
  }
}

TEST_CASE("spool crash: killed at random instants of random work", "[spool]") {
  std::mt19937 random(20260101);
  TempFolder folder;
  SharedDiary diary;
  OpenSpool s(folder.spool());
  s.settings.segment_bytes = 8192;
  s.settings.max_bytes = uint64_t{1} << 30;
  int killed = 0;
  for (int round = 0; round < Rounds(100) && diary->next < kMaxBatchNumbers - 4096; ++round) {
    const auto seed = random();
    const bool ended = InChild(
        *diary,
        [&] {
          std::mt19937 choice(seed);
          if (!s.Open()) _exit(3);
          for (int i = 0; i < 4096; ++i) {
            const bool more = s.spool->stats().batches < 40;
            if (choice() % 100 < (more ? 55 : 40)) {
              Append(s, *diary, choice() % 3000);
            } else {
              TakeAndFinish(s, *diary, choice() % 4 != 0);
            }
          }
        },
        static_cast<int>(random() % 4000));
    killed += ended ? 0 : 1;
    INFO("round " << round);
    Audit(s, *diary);
  }
  REQUIRE(killed > 50);
  REQUIRE(diary->next > 500);
}

TEST_CASE("spool crash: killed while the oldest are given up for room", "[spool]") {
  for (int nth = 20; nth < 120; nth += kStride) {
    INFO("call " << nth);
    TempFolder folder;
    SharedDiary diary;
    OpenSpool s(folder.spool());
    s.settings.max_bytes = 32768;
    InChild(*diary, [&] {
      int calls = 0;
      ScopedIoHook hook([&](IoCall) { return calls++ == nth ? kDieBefore : kProceed; });
      if (!s.Open()) _exit(3);
      for (int i = 0; i < 40; ++i) Append(s, *diary, 1500);
    });
    REQUIRE(s.Open());
    // What is left is the youngest, without gaps.
    const std::vector<int> found = s.Peek();
    REQUIRE_FALSE(found.empty());
    for (size_t i = 1; i < found.size(); ++i) REQUIRE(found[i] == found[i - 1] + 1);
    REQUIRE((found.back() == diary->next - 1 || diary->steps[diary->next - 1] == kAppending));
    REQUIRE((found.front() == 0 || found.size() >= 12));
    REQUIRE(s.spool->stats().bytes <= 32768);
  }
}

}  // namespace spantap
