// SPDX-License-Identifier: Apache-2.0
//
// Trace ids, span ids and the sampling decision of a local tree.
//
// A tree is one trace: that of the first traceparent in it, in order of time; else derived from its
// first x-request-id; else random. Members that bore another id on the wire keep it as wire_trace_id.
// With adopt off, such a member begins a segment of its own instead.
//
// Event thread only. Memory: 4 tables of at most kRecent entries, the older half forgotten.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "agent/link/linker.h"
#include "agent/link/node.h"
#include "exporter/model/trace_context.h"

namespace spantap {

// The ids that a member bore: those of its handed-off span, else those on the wire; null: none.
const TraceParent* WireOf(const Node& node);

class TraceIds {
 public:
  static constexpr size_t kRecent = 32768;

  TraceIds(const LinkSettings& settings, IdGenerator& ids, LinkCounters& counters)
      : settings_(settings), ids_(ids), counters_(counters) {}

  // Takes note of the ids on the wire. A client exchange claims its parent-id as its span id if no
  // other has, and it did not come in with a request of the same process.
  void OnRequest(Node& node);
  // The client exchange that claimed a span id lately; 0 if none.
  uint64_t ClaimedBy(const SpanId& id) const;
  SpanId NewSpanId() { return ids_.NewSpanId(); }
  // Fixes the ids of all nodes of a tree, given in order (InOrder), that have none yet.
  void Assign(const std::vector<Node*>& nodes, uint64_t now_ns);

 private:
  struct Segment {
    const Node* leader = nullptr;
    TraceId trace_id;
    bool known = false;  // an id is settled, or was delivered
    bool fixed = false;  // flags and sampling, too
    const TraceParent* wire = nullptr;
    bool handed_sampled = false;       // a member was handed off, sampled
    const Node* request_id = nullptr;  // the first member that has one
    uint8_t flags = 0;
    bool sampled = true;
  };
  // Keys seen lately, in two generations.
  template <typename Table>
  struct Recent {
    Table young, old;
    template <typename... Entry>
    void Add(const Entry&... entry) {
      if (young.size() >= kRecent) {
        old = std::move(young);
        young = Table();
      }
      young.emplace(entry...);
    }
  };

  void PlaceInSegment(Node& node);
  void Settle(Segment& segment, uint64_t now_ns);
  bool MayDeriveFrom(uint64_t request_id_hash, uint64_t now_ns);
  void Fix(Node& node);

  const LinkSettings settings_;
  IdGenerator& ids_;
  LinkCounters& counters_;
  std::vector<Segment> segments_;  // of the tree at hand
  Recent<absl::flat_hash_map<SpanId, uint64_t>> claims_;
  Recent<absl::flat_hash_set<uint64_t>> incoming_;               // (process, parent-id)
  absl::flat_hash_map<uint64_t, uint32_t> roots_by_request_id_;  // in this minute
  uint64_t minute_ = 0;
};

}  // namespace spantap
