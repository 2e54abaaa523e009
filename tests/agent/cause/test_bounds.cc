// SPDX-License-Identifier: Apache-2.0
//
// What the cause finder holds on to, and for how long, whatever a process does: memory, its limits, and that each
// decision comes in time.
#include <malloc.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>

#include "agent/cause/cause_finder.h"

namespace spantap {
namespace {

constexpr uint64_t kTickNs = 10'000'000;
constexpr uint64_t kRoundNs = 150'000'000;  // the longest
constexpr size_t kMost = 1 << 20;           // bytes of a process

// Tells heads, keeps count of what comes back. What it needs itself is allocated before anything is measured.
class Load {
 public:
  explicit Load(size_t requests, const CauseSettings& settings = {}) : settings_(settings), finder(settings) {
    sent_ns_.resize(requests + 1);
    start_ = mallinfo2().uordblks;
  }

  uint64_t In(uint64_t route = 1, TokenList tokens = {}) {
    finder.OnIncoming(tgid, {++ids_, Mark(true), route, std::move(tokens)});
    ++incoming;
    return ids_;
  }
  uint64_t Out(uint64_t call = 11, uint64_t connection = 1, TokenList tokens = {}) {
    const Moment at = Mark(false);
    sent_ns_.at(++ids_) = at.ns;
    ++outgoing;
    finder.OnOutgoing(tgid, {ids_, at, false, call, connection, call, std::move(tokens)});
    return ids_;
  }
  void Answer(uint64_t id) { finder.OnResponse(tgid, id, Mark(true)), finder.OnOver(tgid, id, ns); }
  void Reply(uint64_t id) { finder.OnResponse(tgid, id, Mark(false)), finder.OnOver(tgid, id, ns); }
  void Pass(uint64_t us, bool turn = false) {
    const uint64_t until = ns + us * 1000;
    at.turn += turn, at.burst += us > 100;
    while (until >= tick_ns_ + kTickNs) {
      ns = tick_ns_ = std::max(ns, tick_ns_ + kTickNs);
      finder.OnTime(ns);
      Take();
    }
    ns = until;
  }
  // A request with a call in the next turn.
  void Serve(uint64_t route = 1, uint64_t call = 11) {
    Pass(200, true);
    const uint64_t in = In(route);
    Pass(15, true);
    const uint64_t out = Out(call);
    Pass(500, true);
    Answer(out);
    Pass(15, true);
    Reply(in);
  }
  void Take() {
    for (const CauseDecision& decision : finder.TakeDecisions()) {
      ++decided;
      stated += decision.confidence > 0.9;
      longest_ns = std::max(longest_ns, ns - sent_ns_.at(decision.outgoing));
    }
    released += finder.TakeReleased().size();
    most_bytes = std::max(most_bytes, Bytes());
  }
  void CheckAllDecided() {
    for (int i = 0; i < 10; ++i) Pass(300'000, true);
    Take();
    CHECK(decided == outgoing);
    CHECK(longest_ns <= settings_.limit_ns + kRoundNs + kTickNs);
  }
  size_t Bytes() const {
    const size_t now = mallinfo2().uordblks;
    return now > start_ ? now - start_ : 0;
  }

 private:
  const CauseSettings settings_;
  Moment Mark(bool read) {
    ns += 4000;
    at.ns = ns, at.counted = true;
    ++(read ? at.reads : at.writes);
    return at;
  }

 public:
  CauseFinder finder;
  uint64_t ns = 10'000'000'000;
  Moment at;
  uint32_t tgid = 1;
  size_t incoming = 0, outgoing = 0, decided = 0, stated = 0, released = 0, most_bytes = 0;
  uint64_t longest_ns = 0;

 private:
  std::vector<uint64_t> sent_ns_;
  uint64_t ids_ = 0, tick_ns_ = 10'000'000'000;
  size_t start_ = 0;
};

TEST_CASE("causes: a million calls of a process that serves nothing", "[cause]") {
  Load load(1'000'000);
  uint64_t before[20] = {};
  for (size_t i = 0; i < 1'000'000; ++i) {
    load.Pass(50, true);
    if (before[i % 20] != 0) load.Answer(before[i % 20]);
    before[i % 20] = load.Out(11 + i % 5, i % 20);
  }
  load.CheckAllDecided();
  CHECK(load.finder.counters().overflow == 0);
  CHECK(load.stated == 0);
  CHECK(load.most_bytes < kMost);
}

TEST_CASE("causes: calls for ever after one request", "[cause]") {
  Load load(200'000);
  load.Serve();
  for (size_t i = 0; i < 50'000; ++i) {
    load.Pass(300, true);
    const uint64_t out = load.Out(12);
    load.Pass(300, true);
    load.Answer(out);
  }
  for (int i = 0; i < 1000; ++i) load.Serve();
  load.CheckAllDecided();
  CHECK(load.finder.counters().overflow == 0);
  CHECK(load.stated >= 50);
  CHECK(load.most_bytes < kMost);
}

TEST_CASE("causes: a request that stays open for minutes", "[cause]") {
  Load load(100'000);
  for (int i = 0; i < 1000; ++i) load.Serve();
  load.Take();
  const size_t before = load.stated;
  const uint64_t open = load.In(7);
  for (int i = 0; i < 20'000; ++i) load.Serve(), load.Pass(5000, true);
  load.Reply(open);
  load.Pass(20'000, true);
  for (int i = 0; i < 300; ++i) load.Serve(), load.Pass(5000, true);
  load.CheckAllDecided();
  CHECK(load.finder.counters().overflow == 0);
  CHECK(load.stated > before + 15'000);
  CHECK(load.released == load.incoming);
  CHECK(load.most_bytes < kMost);
}

TEST_CASE("causes: a request that makes calls for minutes", "[cause]") {
  Load load(300'000);
  for (int i = 0; i < 1000; ++i) load.Serve();
  const uint64_t open = load.In();
  for (int i = 0; i < 100'000; ++i) {
    load.Pass(15, true);
    const uint64_t out = load.Out();
    load.Pass(1000, true);
    load.Answer(out);
  }
  load.Reply(open);
  load.CheckAllDecided();
  CHECK(load.finder.counters().overflow == 0);
  CHECK(load.released == load.incoming);
  CHECK(load.most_bytes < kMost);
}

TEST_CASE("causes: requests that take longer than a decision may wait", "[cause]") {
  Load load(10'000);
  for (int i = 0; i < 200; ++i) {
    load.Pass(200, true);
    const uint64_t in = load.In();
    load.Pass(15, true);
    const uint64_t out = load.Out();
    load.Pass(500, true);
    load.Answer(out);
    load.Pass(1000 + i % 50 * 300, true);  // a timer
    load.Reply(in);
  }
  for (int i = 0; i < 10; ++i) {
    std::vector<uint64_t> open;
    for (int k = 0; k < 8; ++k) {
      open.push_back(load.In());
      load.Pass(15, true);
      const uint64_t out = load.Out();
      load.Pass(250'000, true);
      load.Answer(out);
      load.Pass(250'000, true);
    }
    for (const uint64_t in : open) load.Pass(300'000, true), load.Reply(in);
  }
  load.CheckAllDecided();
  CHECK(load.released == load.incoming);
}

TEST_CASE("causes: requests that overlap, each with the next", "[cause]") {
  Load load(10'000);
  for (int i = 0; i < 200; ++i) {  // learned: the call is sent at once, the reply is waited for
    load.Pass(200, true);
    const uint64_t in = load.In();
    load.Pass(15, true);
    load.Answer(load.Out());
    load.Pass(1000 + i % 50 * 300, true);
    load.Answer(load.Out(12));
    load.Reply(in);
  }
  std::deque<uint64_t> open;
  for (int i = 0; i < 40; ++i) {
    open.push_back(load.In());
    load.Pass(15, true);
    const uint64_t out = load.Out();
    load.Pass(475'000, true);
    load.Answer(out);
    if (open.size() < 4) continue;  // 1.9 s after it was read
    load.Answer(load.Out(12));
    load.Reply(open.front());
    open.pop_front();
  }
  load.CheckAllDecided();
}

TEST_CASE("causes: ten thousand routes, and calls", "[cause]") {
  Load load(200'000);
  for (uint64_t i = 0; i < 10'000; ++i) load.Serve(i, 100 + i), load.Pass(5000, true);
  load.Take();
  CHECK(load.finder.counters().forgotten > 0);
  // What comes later can still be learned.
  const size_t before = load.stated;
  for (int i = 0; i < 500; ++i) load.Serve(20'000, 20'000), load.Pass(25'000, true);
  load.CheckAllDecided();
  CHECK(load.stated >= before + 300);
  CHECK(load.most_bytes < kMost);
}

TEST_CASE("causes: ten thousand threads, and connections", "[cause]") {
  Load load(200'000);
  for (uint32_t i = 0; i < 20'000; ++i) {
    load.at = Moment{};
    load.at.tid = i;
    load.Pass(200, true);
    const uint64_t in = load.In();
    load.Pass(15, true);
    const uint64_t out = load.Out(11, i);
    load.Pass(500, true);
    load.Answer(out);
    load.Pass(15, true);
    load.Reply(in);
  }
  load.CheckAllDecided();
  CHECK(load.most_bytes < kMost);
}

TEST_CASE("causes: more open requests than are followed", "[cause]") {
  CauseSettings settings;
  settings.max_incoming = 100;
  Load load(10'000, settings);
  std::vector<uint64_t> open;
  for (int i = 0; i < 500; ++i) {
    load.Pass(20, true);
    open.push_back(load.In());
  }
  load.Take();
  CHECK(load.released == 400);
  for (const uint64_t in : open) {
    load.Pass(20, true);
    load.Answer(load.Out());
    load.Reply(in);
  }
  load.CheckAllDecided();
  CHECK(load.released == 500);
}

TEST_CASE("causes: more undecided calls than are kept", "[cause]") {
  CauseSettings settings;
  settings.max_outgoing = 50;
  Load load(10'000, settings);
  const uint64_t in = load.In();
  for (int i = 0; i < 200; ++i) load.Pass(20, true), load.Out();
  load.Take();
  CHECK(load.finder.counters().overflow == 150);
  CHECK(load.decided == 150);
  load.Reply(in);
  load.CheckAllDecided();
  CHECK(load.finder.counters().decided == 200);
}

TEST_CASE("causes: a process at all its limits", "[cause]") {
  Load load(20'000);
  for (int i = 0; i < 1000; ++i) load.Serve();
  std::vector<uint64_t> open, sent;
  for (uint64_t i = 0; i < 2048; ++i) load.Pass(2, true), open.push_back(load.In(1 + i % 3, {i, i + 5000, i + 9000}));
  for (uint64_t i = 0; i < 5000; ++i)
    load.Pass(2, true), sent.push_back(load.Out(11 + i % 4, i, {i % 2048, i + 20'000}));
  for (const uint64_t out : sent) load.Pass(2, true), load.Answer(out);
  for (const uint64_t in : open) load.Pass(2, true), load.Reply(in);
  load.CheckAllDecided();
  INFO("bytes " << load.most_bytes);
  CHECK(load.released == load.incoming);
  CHECK(load.most_bytes < 16 * kMost);
}

TEST_CASE("causes: more processes than are followed", "[cause]") {
  CauseSettings settings;
  settings.max_processes = 8;
  Load load(20'000, settings);
  for (uint32_t tgid = 1; tgid <= 500; ++tgid) {
    load.tgid = tgid;
    for (int i = 0; i < 3; ++i) load.Serve();
    load.In();  // and one stays open
  }
  load.CheckAllDecided();
  CHECK(load.finder.counters().forgotten >= 492);
  CHECK(load.released >= 492 * 4);
  CHECK(load.most_bytes < 8 * kMost);
}

}  // namespace
}  // namespace spantap
