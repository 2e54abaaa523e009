// SPDX-License-Identifier: Apache-2.0
//
// What the linker knows of one process: its open server exchanges, indexed by what rules look for, and
// what the rules have learned about it. One struct, so that an event costs one lookup.
//
// Event thread only. Memory: the indexes hold open exchanges only; learned parts are of fixed size,
// except `threads` (kMaxThreads), `crowds` (no larger than the open exchanges) and `routes` (RouteTable's own bound).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "agent/cause/routes.h"
#include "agent/link/crowd.h"
#include "agent/link/inference.h"
#include "agent/link/loop_turns.h"
#include "agent/link/member_list.h"

namespace spantap {

// How often keys were seen lately. Counts are upper bounds (keys may share a cell) and halve every
// kHalfLife additions. 1 KiB.
class RecentCounts {
 public:
  static constexpr uint32_t kHalfLife = 512;
  // Counts the key and returns how often it was seen, this time included.
  uint8_t Add(uint64_t key) {
    if (++added_ == kHalfLife) {
      added_ = 0;
      for (uint8_t& cell : cells_) cell /= 2;
    }
    uint8_t& cell = cells_[(key ^ key >> 32) % cells_.size()];
    if (cell < 255) ++cell;
    return cell;
  }

 private:
  uint32_t added_ = 0;
  std::array<uint8_t, 1024> cells_ = {};
};

// Rule `thread`.
struct ThreadState {
  MemberList held;         // server exchanges whose request it read, not yet answered
  uint64_t last_read = 0;  // id of the last request it read
  HeadCounts heads;        // of proxies
};
struct ThreadClass {
  Share kept;           // of overlapping requests, those answered by their reader with none read between
  uint32_t broken = 0;  // times a thread took a second request, or answered another thread's
};

// Rule `proxy`.
struct ProxyClass {
  TurnHop hop;   // of requests
  TurnHop back;  // of responses
  PoolHabit habit;
  Share agrees;                 // of outgoing requests, those with the head of an open incoming one
  uint32_t marked = 0;          // outgoing heads that had a proxy's marks added
  uint32_t same_thread = 0;     // heads of one exchange that one thread handled
  bool crosses = false;         // some exchange was handled by two threads
  bool fans_out = false;        // some request had two outgoing ones at once (mirrors, hedges)
  uint64_t crowded_at = 0;      // number of the last request when several equal heads, without ids, were one too many
  uint64_t distrust_until = 0;  // number of a request: until then, order and pair prove nothing
  bool one_thread() const { return !crosses && same_thread >= 16; }
  // Every outgoing request is some incoming one's.
  bool is_proxy() const { return marked > 0 || (agrees.total >= 8 && agrees.value() >= 0.8); }
  // Its links need no counters of its threads: heads and ids alone tell. Not to change with every other request.
  bool needs_no_turns(uint64_t arrivals, bool so_far) const {
    constexpr uint64_t kQuiet = 256;
    if (arrivals < crowded_at + kQuiet) return false;
    return marked > 0 || (so_far ? agrees.value() >= 0.5 : agrees.total >= 64 && is_proxy());
  }
  // While responses are being lost, incoming requests are too, and a proxy's heads match nothing that was seen: some
  // that do are enough to suspect it.
  bool may_be_proxy(uint64_t arrivals) const {
    return is_proxy() || (arrivals < distrust_until && agrees.good >= 3 && agrees.value() >= 0.1);
  }
};

// The least of the last some hundred values, less a margin.
class RecentLeast {
 public:
  void Add(uint64_t value) {
    now_ = std::min(now_, value);
    if (++added_ % kGeneration == 0) before_ = std::exchange(now_, UINT64_MAX);
  }
  // 0 until enough is known.
  uint64_t value() const { return added_ < kGeneration ? 0 : std::min(now_, before_) / 10 * 7; }

 private:
  static constexpr uint32_t kGeneration = 128;
  uint64_t now_ = UINT64_MAX;
  uint64_t before_ = UINT64_MAX;
  uint32_t added_ = 0;
};

// Rule `calm`: heads sent while nothing was open (health checks, polls).
struct Background {
  struct Cell {
    uint64_t key = 0;
    uint32_t alone = 0;
    uint32_t total = 0;
  };
  std::array<Cell, 64> cells = {};
};

struct ProcessState {
  static constexpr size_t kMaxThreads = 4096;

  uint32_t tgid = 0;
  uint32_t members = 0;    // exchanges held, either role: it must not go while there are any
  uint64_t last_used = 0;  // exchange id

  MemberList open;  // server exchanges not finished, by arrival
  uint32_t open_count = 0;
  uint32_t unanswered = 0;  // of these, without a response
  uint64_t arrivals = 0;
  MemberIndex by_trace;       // key: TraceKey()
  MemberIndex by_request_id;  // key: HeadDigest::request_id_hash
  RecentCounts targets;
  RecentCounts request_ids;

  absl::flat_hash_map<uint32_t, std::unique_ptr<ThreadState>> threads;
  ThreadClass thread_class;
  ProxyClass proxy_class;
  FreeConnections free_connections;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Crowd>> crowds;  // key: HeadDigest::Fingerprint()
  Background background;
  uint32_t undecided = 0;              // client exchanges that the cause finder may decide
  RecentLeast encrypted_least;         // ns from the caller's reading to this process's passing on (encrypted_rule.cc)
  std::unique_ptr<RouteTable> routes;  // null until the cause finder is told of it
  bool no_turns = false;               // as told to LinkedSink::OnTurns()
};

// No other request had its method and target lately. False until there were enough to tell.
inline bool TargetIsRare(const Member& server) {
  constexpr uint64_t kManyRequests = 64;
  return server.target_seen <= 1 && server.process->arrivals >= kManyRequests;
}

// The outgoing head has what a proxy adds.
inline bool AddsMarks(const Member& server, const Member& client) {
  return client.request.proxy_marks > server.request.proxy_marks ||
         (client.request.request_id_hash != 0 && server.request.request_id_hash == 0);
}

uint64_t TraceKey(const TraceId& id);

}  // namespace spantap
