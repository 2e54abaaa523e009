// SPDX-License-Identifier: Apache-2.0
#include "agent/link/trace_ids.h"

#include <algorithm>
#include <cstring>

namespace spantap {
namespace {

constexpr uint64_t kMinuteNs = 60'000'000'000;

uint64_t IncomingKey(uint32_t tgid, const SpanId& id) {
  uint64_t word = 0;
  std::memcpy(&word, id.bytes.data(), sizeof(word));
  return HashCombine(tgid, word);
}

}  // namespace

const TraceParent* WireOf(const Node& node) {
  if (node.spoken) return &*node.spoken;
  return node.request.traceparent ? &*node.request.traceparent : nullptr;
}

void TraceIds::OnRequest(Node& node) {
  const auto& wire = node.request.traceparent;
  if (!wire) return;
  const uint64_t key = IncomingKey(node.exchange->tgid, wire->parent_id);
  if (node.role == Role::kServer) {
    incoming_.Add(key);
    return;
  }
  node.repeated = incoming_.young.contains(key) || incoming_.old.contains(key);
  if (node.repeated || ClaimedBy(wire->parent_id) != 0) return;
  claims_.Add(wire->parent_id, node.id);
  node.claimed = wire->parent_id;
}

uint64_t TraceIds::ClaimedBy(const SpanId& id) const {
  for (const auto* table : {&claims_.young, &claims_.old}) {
    if (const auto it = table->find(id); it != table->end()) return it->second;
  }
  return 0;
}

void TraceIds::Assign(const std::vector<Node*>& nodes, uint64_t now_ns) {
  segments_.clear();
  for (Node* node : nodes) {
    if (!node->fixed) PlaceInSegment(*node);
  }
  for (Segment& segment : segments_) {
    if (!segment.fixed) Settle(segment, now_ns);
  }
  for (Node* node : nodes) {
    if (!node->fixed) Fix(*node);
  }
}

void TraceIds::PlaceInSegment(Node& node) {
  const TraceParent* const wire = WireOf(node);
  const Node* const parent = node.parent;
  if (parent != nullptr && !parent->fixed) {
    node.segment = parent->segment;
  } else {
    Segment& segment = segments_.emplace_back();
    segment.leader = &node;
    node.segment = segments_.size() - 1;
    if (parent != nullptr) {
      segment.trace_id = parent->trace_id;
      segment.known = segment.fixed = true;
      segment.flags = parent->flags;
      segment.sampled = parent->sampled;
    }
  }
  Segment* segment = &segments_[node.segment];
  if (wire != nullptr && segment->known && segment->trace_id != wire->trace_id && !settings_.adopt) {
    node.cut = true;
    segment = &segments_.emplace_back();
    segment->leader = &node;
    node.segment = segments_.size() - 1;
  }
  if (wire != nullptr && !segment->known) {
    segment->known = true;
    segment->trace_id = wire->trace_id;
    segment->wire = wire;
  }
  segment->handed_sampled |= node.spoken && node.spoken->sampled();
  if (segment->request_id == nullptr && !node.request.request_id.empty()) segment->request_id = &node;
}

// Sampling: a decision that came in with the segment's first request is kept (if parent-based); else a new root's.
void TraceIds::Settle(Segment& segment, uint64_t now_ns) {
  uint8_t random = 0;
  if (segment.known) {
    random = segment.wire->flags & kFlagRandom;
  } else if (segment.request_id != nullptr && MayDeriveFrom(segment.request_id->request.request_id_hash, now_ns)) {
    if (const auto id = TraceIdFromRequestId(segment.request_id->request.request_id)) segment.trace_id = *id;
  }
  if (!segment.trace_id.valid()) {
    segment.trace_id = ids_.NewTraceId();
    random = kFlagRandom;
  }
  const TraceParent* const decided = settings_.sample_parent_based ? WireOf(*segment.leader) : nullptr;
  segment.sampled = decided != nullptr ? decided->sampled() : SampledByRatio(segment.trace_id, settings_.sample_ratio);
  segment.sampled |= segment.handed_sampled;  // a proxy has spans of it exported: with holes it would help nobody
  segment.flags = random | (segment.sampled ? kFlagSampled : 0);
}

// An id on many roots within a minute is a constant, not an id.
bool TraceIds::MayDeriveFrom(uint64_t request_id_hash, uint64_t now_ns) {
  if (now_ns / kMinuteNs != minute_ || roots_by_request_id_.size() >= kRecent) {
    minute_ = now_ns / kMinuteNs;
    roots_by_request_id_.clear();
  }
  if (++roots_by_request_id_[request_id_hash] <= settings_.request_id_reuse_limit) return true;
  ++counters_.request_id_reused;
  return false;
}

void TraceIds::Fix(Node& node) {
  const Segment& segment = segments_[node.segment];
  node.fixed = true;
  node.trace_id = segment.trace_id;
  node.flags = segment.flags;
  node.sampled = segment.sampled;
  node.depth =
      node.parent == nullptr || node.cut ? 0 : static_cast<uint8_t>(std::min<int>(node.parent->depth + 1, UINT8_MAX));
  // Passed on verbatim, the id is the span that sent it here, not this one.
  const auto& incoming = node.cause != nullptr ? node.cause->request.traceparent : std::nullopt;
  const bool claims = node.claimed.valid() && !node.claim_lost && !(incoming && incoming->parent_id == node.claimed);
  SpanId own = node.id_taken ? SpanId{} : node.handed_id;
  if (!node.handed_id.valid() && claims) own = node.claimed;
  node.span_id = own.valid() ? own : ids_.NewSpanId();
  const TraceParent* const wire = WireOf(node);
  if (wire != nullptr && wire->trace_id != node.trace_id) ++counters_.adopted;
}

}  // namespace spantap
