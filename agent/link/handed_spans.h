// SPDX-License-Identifier: Apache-2.0
//
// Spans that processes hand off and the exchanges they may be of: who waits for whom, and which belong together.
//
//   span ──► waits for its exchange ──match──► node.handed ──► delivered with its tree
//                        └───────(kTries)────► unmatched: exported as it is
//
// A match is looked for within the process that handed the span off, by (the first that tells)
//   client: the traceparent it sent, whose parent-id is the span's id;
//   both:   connection and time; of several equally near the one that path and status agree with, else none;
//   server: the server exchange that caused the exchange of a client span which calls this span its parent;
//   client: if its connection is not known, the one exchange that the exchange of its parent span caused, or that has
//           that one's target and happened within it on its thread;
//   both:   x-request-id;
//   server: time alone, if its connection is not known and one exchange is much nearer than all others.
//
// Used by the linker (handed_join.cc). Event thread only. Memory: kMaxSpans and kMaxBytes, a quarter of it to one
// process; of what is remembered of delivered spans, two generations of kRecent.
#pragma once

#include <cstdint>
#include <memory>
#include <queue>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "agent/link/node.h"
#include "exporter/model/handed_span.h"

namespace spantap {

// Ids count within their process only: what another one claims is nothing to it.
struct HandedId {
  uint32_t tgid = 0;
  SpanId id;
  bool operator==(const HandedId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const HandedId& key) {
    return H::combine(std::move(h), key.tgid, key.id);
  }
};

// Unix times whose last six digits are zero are a millisecond's: the moment is somewhere in it.
struct HandedTime {
  uint64_t from_ns = 0;
  uint64_t to_ns = 0;
};

struct PendingSpan {
  std::unique_ptr<HandedSpan> handed;
  uint64_t number = 0;
  uint64_t came_ns = 0;
  HandedTime start, end;  // monotonic
  int tries = 0;
  bool matchable() const { return handed->span.kind == SpanKind::kServer || handed->span.kind == SpanKind::kClient; }
};

class HandedSpans {
 public:
  static constexpr size_t kMaxSpans = 65536;
  static constexpr size_t kMaxBytes = 64 << 20;
  static constexpr size_t kShares = 4;
  static constexpr size_t kRecent = 32768;
  // When a span is tried, after its coming. Its events may be some 100 ms behind.
  static constexpr uint64_t kTriesMs[] = {0, 10, 40, 160, 500, 1000};
  static constexpr int kTries = static_cast<int>(std::size(kTriesMs));

  // All processes that hand off; returns those that have come. Those that have gone count for a while yet.
  std::vector<uint32_t> SetProducers(const std::vector<uint32_t>& tgids, uint64_t now_ns);
  void ForgetGone(uint64_t now_ns);
  bool HandsOff(uint32_t tgid) const { return !producers_.empty() && producers_.contains(tgid); }

  // An exchange that a span may be of, until it is matched or delivered. No-ops if it is (not) there.
  void AddCandidate(Node& node);
  void RemoveCandidate(Node& node);

  // Null: no room; `handed` stays the caller's.
  PendingSpan* Add(std::unique_ptr<HandedSpan>& handed, uint64_t now_ns);
  PendingSpan* FindPending(const HandedId& id) const;
  // The next one whose try is due, counted as tried; null: none.
  PendingSpan* TakeDue(uint64_t now_ns);
  // The span keeps its room until Release().
  std::unique_ptr<HandedSpan> Remove(PendingSpan& span);
  void Release(const HandedSpan& handed);
  // One more try, after a while.
  void Postpone(PendingSpan& span, uint64_t now_ns);
  std::vector<PendingSpan*> All() const;  // in order of their coming

  // The exchange that the span is of, as far as can be told at its try; null: none yet.
  Node* Match(const PendingSpan& span) const;

  // Nodes by their span's id.
  void Name(Node& node, const SpanId& id);
  void NameAlso(Node& node, const SpanId& id);  // an unmatched span that hangs on the node
  void Unname(Node& node);
  Node* Named(const HandedId& id) const;

  // Client nodes that wait for the span which theirs calls its parent.
  void AwaitParent(Node& client, const SpanId& id);
  void StopAwaiting(Node& client);
  template <typename Visit>
  void EachAwaiting(const HandedId& id, Visit visit) const {
    awaiting_.Each(KeyOf(id), kMaxLooked, [&](Member& member) {
      return Awaits(static_cast<Node&>(member), id) ? visit(static_cast<Node&>(member)) : true;
    });
  }
  // Candidates of the client's role that sent `id` as parent-id.
  template <typename Visit>
  void EachOutgoing(const HandedId& id, Visit visit) const {
    outgoing_.Each(KeyOf(id), kMaxLooked, [&](Member& member) {
      return Sent(static_cast<Node&>(member), id) ? visit(static_cast<Node&>(member)) : true;
    });
  }

  // What became of a delivered span, for those that come after it.
  struct Past {
    bool told = false;          // exported under this id from an exchange alone: its span is not to be
    Role role = Role::kClient;  // the exchange's, if told
    TraceId trace_id;           // where it was moved to
    SpanId span_id;             // what it was called
  };
  void Remember(const HandedId& id, const Past& past);
  const Past* Recall(const HandedId& id) const;

 private:
  static constexpr int kMaxLooked = 64;
  static constexpr uint64_t kForEver = UINT64_MAX;
  static constexpr uint64_t kGoneNs = 2'000'000'000;
  using ConnectionKey = std::pair<uint64_t, std::pair<uint64_t, uint64_t>>;  // key, (start, exchange id)
  struct Held {
    size_t spans = 0;
    size_t bytes = 0;
  };
  // How well an exchange fits a span; less is better.
  struct Fit {
    bool other_ids = true;  // no id says that they belong together
    uint64_t apart_ns = 0;  // sum of the differences of their starts and ends
    bool excluded = false;  // the ids or times say that they do not
    auto Order() const { return std::tie(other_ids, apart_ns); }
  };

  // Which port a connection is looked up by; kServer, kClient: none.
  enum class By : uint8_t { kServerPeer = 1, kServer, kClientLocal, kClientPeer, kClient };
  static uint64_t ConnectionKeyOf(uint32_t tgid, By by, uint16_t port);
  static uint64_t RequestIdKey(uint32_t tgid, Role role, uint64_t hash);
  static uint64_t KeyOf(const HandedId& id);  // a hash: what is found by it is looked at
  static bool Awaits(const Node& node, const HandedId& id);
  static bool Sent(const Node& node, const HandedId& id);
  using Found = absl::InlinedVector<std::pair<Fit, Node*>, 8>;
  static Fit FitOf(const PendingSpan& span, const Node& node);
  template <typename May>
  Found Look(const PendingSpan& span, uint64_t key, May may) const;
  static Node* Choose(const PendingSpan& span, Found& found, bool one_connection);
  Node* ByTime(const PendingSpan& span) const;
  Node* ByTraceParent(const PendingSpan& span) const;
  Node* ByConnection(const PendingSpan& span) const;
  Node* ByClients(const PendingSpan& span) const;
  Node* ByServer(const PendingSpan& span) const;
  Node* ByRequestId(const PendingSpan& span) const;

  absl::flat_hash_map<uint32_t, uint64_t> producers_;  // until when; kForEver: attached
  uint64_t look_at_ns_ = kForEver;                     // for those that have gone
  absl::btree_map<ConnectionKey, Node*> by_connection_;
  MemberIndex outgoing_;
  MemberIndex by_request_id_;
  MemberIndex awaiting_;

  uint64_t last_number_ = 0;
  absl::flat_hash_map<uint64_t, std::unique_ptr<PendingSpan>> pending_;  // key: number
  absl::flat_hash_map<HandedId, PendingSpan*> pending_by_id_;
  using Due = std::pair<uint64_t, uint64_t>;  // when, number
  std::priority_queue<Due, std::vector<Due>, std::greater<Due>> due_;
  absl::flat_hash_map<uint32_t, Held> held_;
  Held all_held_;

  absl::flat_hash_map<HandedId, Node*> named_;
  absl::flat_hash_map<HandedId, Past> past_, older_past_;
};

}  // namespace spantap
