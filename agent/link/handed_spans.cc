// SPDX-License-Identifier: Apache-2.0
#include "agent/link/handed_spans.h"

#include <algorithm>
#include <cstring>

#include "agent/link/process_state.h"

namespace spantap {
namespace {

constexpr uint64_t kMsNs = 1'000'000;

HandedTime TimeOf(uint64_t unix_ns, uint64_t wall_minus_mono_ns) {
  const uint64_t from_ns = unix_ns > wall_minus_mono_ns ? unix_ns - wall_minus_mono_ns : 0;
  return {from_ns, unix_ns % kMsNs == 0 ? from_ns + kMsNs - 1 : from_ns};
}

}  // namespace

uint64_t HandedSpans::ConnectionKeyOf(uint32_t tgid, By by, uint16_t port) {
  return HashCombine(tgid, static_cast<uint64_t>(by) << 16 | port);
}

uint64_t HandedSpans::RequestIdKey(uint32_t tgid, Role role, uint64_t hash) {
  return HashCombine(HashCombine(tgid, static_cast<uint64_t>(role)), hash);
}

// ---------------------------------------------------------------- processes and candidates

std::vector<uint32_t> HandedSpans::SetProducers(const std::vector<uint32_t>& tgids, uint64_t now_ns) {
  for (auto& [tgid, until_ns] : producers_) until_ns = std::min(until_ns, now_ns + kGoneNs);
  std::vector<uint32_t> fresh;
  for (const uint32_t tgid : tgids) {
    if (producers_.insert_or_assign(tgid, kForEver).second) fresh.push_back(tgid);
  }
  look_at_ns_ = producers_.size() > tgids.size() ? now_ns + kGoneNs : kForEver;
  return fresh;
}

void HandedSpans::ForgetGone(uint64_t now_ns) {
  if (now_ns < look_at_ns_) return;
  look_at_ns_ = kForEver;
  for (const auto& [tgid, until_ns] : producers_) {
    if (until_ns > now_ns) look_at_ns_ = std::min(look_at_ns_, until_ns);
  }
  absl::erase_if(producers_, [now_ns](const auto& entry) { return entry.second <= now_ns; });
}

void HandedSpans::AddCandidate(Node& node) {
  if (node.candidate) return;
  node.candidate = true;
  const uint32_t tgid = node.process->tgid;
  const ConnectionEnds& ends = node.exchange->endpoint;
  const auto place = std::make_pair(node.start_ns, node.id);
  if (node.role == Role::kServer) {
    by_connection_.emplace(std::make_pair(ConnectionKeyOf(tgid, By::kServerPeer, ends.peer_port), place), &node);
    by_connection_.emplace(std::make_pair(ConnectionKeyOf(tgid, By::kServer, 0), place), &node);
  } else {
    by_connection_.emplace(std::make_pair(ConnectionKeyOf(tgid, By::kClientLocal, ends.local_port), place), &node);
    by_connection_.emplace(std::make_pair(ConnectionKeyOf(tgid, By::kClientPeer, ends.peer_port), place), &node);
    by_connection_.emplace(std::make_pair(ConnectionKeyOf(tgid, By::kClient, 0), place), &node);
    const auto& sent = node.request.traceparent;
    if (sent) outgoing_.Add(KeyOf({tgid, sent->parent_id}), node.hooks[kSlotOutgoing]);
  }
  if (const uint64_t hash = node.request.request_id_hash; hash != 0) {
    by_request_id_.Add(RequestIdKey(tgid, node.role, hash), node.hooks[kSlotHandedId]);
  }
}

void HandedSpans::RemoveCandidate(Node& node) {
  if (!node.candidate) return;
  node.candidate = false;
  const uint32_t tgid = node.process->tgid;
  const ConnectionEnds& ends = node.exchange->endpoint;
  const auto place = std::make_pair(node.start_ns, node.id);
  if (node.role == Role::kServer) {
    by_connection_.erase({ConnectionKeyOf(tgid, By::kServerPeer, ends.peer_port), place});
    by_connection_.erase({ConnectionKeyOf(tgid, By::kServer, 0), place});
  } else {
    by_connection_.erase({ConnectionKeyOf(tgid, By::kClientLocal, ends.local_port), place});
    by_connection_.erase({ConnectionKeyOf(tgid, By::kClientPeer, ends.peer_port), place});
    by_connection_.erase({ConnectionKeyOf(tgid, By::kClient, 0), place});
    const auto& sent = node.request.traceparent;
    if (sent) outgoing_.Remove(KeyOf({tgid, sent->parent_id}), node.hooks[kSlotOutgoing]);
  }
  if (const uint64_t hash = node.request.request_id_hash; hash != 0) {
    by_request_id_.Remove(RequestIdKey(tgid, node.role, hash), node.hooks[kSlotHandedId]);
  }
}

// ---------------------------------------------------------------- spans

PendingSpan* HandedSpans::Add(std::unique_ptr<HandedSpan>& handed, uint64_t now_ns) {
  const Span& span = handed->span;
  const size_t bytes = span.ApproximateBytes();
  Held& own = held_[handed->tgid];
  if (all_held_.spans >= kMaxSpans || all_held_.bytes + bytes > kMaxBytes || own.spans >= kMaxSpans / kShares ||
      own.bytes + bytes > kMaxBytes / kShares) {
    if (own.spans == 0) held_.erase(handed->tgid);
    return nullptr;
  }
  for (Held* held : {&own, &all_held_}) {
    ++held->spans;
    held->bytes += bytes;
  }
  auto pending = std::make_unique<PendingSpan>();
  PendingSpan* const raw = pending.get();
  pending->start = TimeOf(span.start_unix_ns, handed->wall_minus_mono_ns);
  pending->end = TimeOf(span.end_unix_ns, handed->wall_minus_mono_ns);
  pending->came_ns = now_ns;
  pending->number = ++last_number_;
  pending_by_id_.emplace(HandedId{handed->tgid, span.span_id}, raw);
  pending->handed = std::move(handed);
  due_.emplace(now_ns, raw->number);
  pending_.emplace(raw->number, std::move(pending));
  return raw;
}

PendingSpan* HandedSpans::FindPending(const HandedId& id) const {
  const auto found = pending_by_id_.find(id);
  return found == pending_by_id_.end() ? nullptr : found->second;
}

PendingSpan* HandedSpans::TakeDue(uint64_t now_ns) {
  while (!due_.empty() && due_.top().first <= now_ns) {
    const uint64_t number = due_.top().second;
    due_.pop();
    const auto found = pending_.find(number);
    if (found == pending_.end()) continue;
    PendingSpan& span = *found->second;
    ++span.tries;
    if (span.tries < kTries) due_.emplace(span.came_ns + kTriesMs[span.tries] * kMsNs, number);
    return &span;
  }
  return nullptr;
}

std::unique_ptr<HandedSpan> HandedSpans::Remove(PendingSpan& span) {
  std::unique_ptr<HandedSpan> handed = std::move(span.handed);
  pending_by_id_.erase({handed->tgid, handed->span.span_id});
  pending_.erase(span.number);
  return handed;
}

void HandedSpans::Postpone(PendingSpan& span, uint64_t now_ns) {
  due_.emplace(now_ns + kTriesMs[1] * kMsNs * 10, span.number);
}

std::vector<PendingSpan*> HandedSpans::All() const {
  std::vector<PendingSpan*> all;
  for (const auto& [number, span] : pending_) all.push_back(span.get());
  std::sort(all.begin(), all.end(), [](const auto* a, const auto* b) { return a->number < b->number; });
  return all;
}

void HandedSpans::Release(const HandedSpan& handed) {
  const auto own = held_.find(handed.tgid);
  const size_t bytes = handed.span.ApproximateBytes();
  for (Held* held : {&own->second, &all_held_}) {
    --held->spans;
    held->bytes -= bytes;
  }
  if (own->second.spans == 0) held_.erase(own);
}

// ---------------------------------------------------------------- ids

bool HandedSpans::Awaits(const Node& node, const HandedId& id) {
  return node.process->tgid == id.tgid && node.awaited_id == id.id;
}

bool HandedSpans::Sent(const Node& node, const HandedId& id) {
  return node.process->tgid == id.tgid && node.request.traceparent->parent_id == id.id;
}

uint64_t HandedSpans::KeyOf(const HandedId& id) {
  uint64_t word = 0;
  std::memcpy(&word, id.id.bytes.data(), sizeof(word));
  return HashCombine(id.tgid, word);
}

void HandedSpans::Name(Node& node, const SpanId& id) {
  if (node.handed_id.valid()) named_.erase({node.process->tgid, node.handed_id});
  node.handed_id = id;
  named_[{node.process->tgid, id}] = &node;
}

void HandedSpans::NameAlso(Node& node, const SpanId& id) {
  if (named_.try_emplace({node.process->tgid, id}, &node).second) node.also_named.push_back(id);
}

void HandedSpans::Unname(Node& node) {
  if (node.handed_id.valid()) named_.erase({node.process->tgid, node.handed_id});
  for (const SpanId& id : node.also_named) named_.erase({node.process->tgid, id});
  node.handed_id = {};
  node.also_named.clear();
}

Node* HandedSpans::Named(const HandedId& id) const {
  const auto found = named_.find(id);
  return found == named_.end() ? nullptr : found->second;
}

void HandedSpans::AwaitParent(Node& client, const SpanId& id) {
  StopAwaiting(client);
  client.awaited_id = id;
  awaiting_.Add(KeyOf({client.process->tgid, id}), client.hooks[kSlotHandedBy]);
}

void HandedSpans::StopAwaiting(Node& client) {
  if (!client.awaited_id.valid()) return;
  awaiting_.Remove(KeyOf({client.process->tgid, client.awaited_id}), client.hooks[kSlotHandedBy]);
  client.awaited_id = {};
}

void HandedSpans::Remember(const HandedId& id, const Past& past) {
  if (past_.size() >= kRecent) {
    older_past_ = std::move(past_);
    past_.clear();
  }
  past_[id] = past;
}

const HandedSpans::Past* HandedSpans::Recall(const HandedId& id) const {
  for (const auto* table : {&past_, &older_past_}) {
    if (const auto found = table->find(id); found != table->end()) return &found->second;
  }
  return nullptr;
}

}  // namespace spantap
