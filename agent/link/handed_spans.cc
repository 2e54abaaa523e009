// SPDX-License-Identifier: Apache-2.0
#include "agent/link/handed_spans.h"

#include <algorithm>
#include <cstring>

#include "agent/link/handed_hints.h"
#include "agent/link/process_state.h"

namespace spantap {
namespace {

constexpr uint64_t kMsNs = 1'000'000;
// Two exchanges that differ by less are equally near: system calls and time stamps are some microseconds apart.
constexpr uint64_t kEqualNs = 20'000;
// Of exchange and span whose connection is not known: times that are farther apart are no evidence.
constexpr uint64_t kMaxApartNs = 500'000;
// Which port a connection is looked up by.
enum class By : uint8_t { kServerPeer = 1, kServer, kClientLocal, kClientPeer };

uint64_t ConnectionKeyOf(uint32_t tgid, By by, uint16_t port) {
  return HashCombine(tgid, static_cast<uint64_t>(by) << 16 | port);
}

uint64_t RequestIdKey(uint32_t tgid, Role role, uint64_t hash) {
  return HashCombine(HashCombine(tgid, static_cast<uint64_t>(role)), hash);
}

HandedTime TimeOf(uint64_t unix_ns, uint64_t wall_minus_mono_ns) {
  const uint64_t from_ns = unix_ns > wall_minus_mono_ns ? unix_ns - wall_minus_mono_ns : 0;
  return {from_ns, unix_ns % kMsNs == 0 ? from_ns + kMsNs - 1 : from_ns};
}

uint64_t Apart(uint64_t at, const HandedTime& time) {
  return at < time.from_ns ? time.from_ns - at : at > time.to_ns ? at - time.to_ns : 0;
}

// An address that is all zero is not known.
bool SameAddress(uint8_t span_family, const std::array<uint8_t, 16>& address, uint8_t family, const uint8_t* seen) {
  if (address == std::array<uint8_t, 16>{}) return true;
  constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool span_mapped = span_family == 6 && std::memcmp(address.data(), kMapped, 12) == 0;
  const bool seen_mapped = family == SPANTAP_FAMILY_INET6 && std::memcmp(seen, kMapped, 12) == 0;
  const bool span_4 = span_family == 4 || span_mapped;
  const bool seen_4 = family == SPANTAP_FAMILY_INET || seen_mapped;
  if (span_4 != seen_4) return false;
  const uint8_t* const left = address.data() + (span_mapped ? 12 : 0);
  const uint8_t* const right = seen + (seen_mapped ? 12 : 0);
  return std::memcmp(left, right, span_4 ? 4 : 16) == 0;
}

bool SameConnection(const SpanConnection& span, const ConnectionEnds& seen) {
  const auto same_port = [](uint16_t a, uint16_t b) { return a == 0 || a == b; };
  return same_port(span.local_port, seen.local_port) && same_port(span.peer_port, seen.peer_port) &&
         SameAddress(span.family, span.local_address, seen.family, seen.local_addr) &&
         SameAddress(span.family, span.peer_address, seen.family, seen.peer_addr);
}

uint64_t EndOf(const Node& node) { return node.finished ? node.exchange->end_ns : UINT64_MAX; }

// The nearest of several, if it is much nearer than the next.
class Outstanding {
 public:
  void Add(Node& node, uint64_t apart_ns) {
    if (apart_ns < least_ns_) {
      next_ns_ = least_ns_;
      least_ns_ = apart_ns;
      nearest_ = &node;
    } else {
      next_ns_ = std::min(next_ns_, apart_ns);
    }
  }
  Node* Get() const { return least_ns_ <= kMaxApartNs && next_ns_ / 2 >= least_ns_ ? nearest_ : nullptr; }

 private:
  Node* nearest_ = nullptr;
  uint64_t least_ns_ = UINT64_MAX;
  uint64_t next_ns_ = UINT64_MAX;
};

Role RoleOf(const PendingSpan& span) {
  return span.handed->span.kind == SpanKind::kServer ? Role::kServer : Role::kClient;
}

}  // namespace

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

// ---------------------------------------------------------------- matching

Node* HandedSpans::Match(const PendingSpan& span) const {
  const bool client = RoleOf(span) == Role::kClient;
  Node* node = client ? ByTraceParent(span) : nullptr;
  if (node == nullptr) node = ByConnection(span);
  if (node == nullptr && !client) node = ByClients(span);
  if (node == nullptr && span.tries > 1) node = ByRequestId(span);
  if (node == nullptr && !client) node = ByTime(span);
  return node;
}

// A proxy that tries again sends the same head: the one on the span's connection, or else the nearest.
Node* HandedSpans::ByTraceParent(const PendingSpan& span) const {
  Node* nearest = nullptr;
  std::pair<bool, uint64_t> least;
  EachOutgoing({span.handed->tgid, span.handed->span.span_id}, [&](Node& node) {
    const bool other = !SameConnection(span.handed->connection, node.exchange->endpoint);
    const std::pair<bool, uint64_t> apart = {other, Apart(node.start_ns, span.start)};
    if (apart < least || nearest == nullptr) {
      least = apart;
      nearest = &node;
    }
    return true;
  });
  return nearest;
}

HandedSpans::Fit HandedSpans::FitOf(const PendingSpan& pending, const Node& node) {
  const Span& span = pending.handed->span;
  Fit fit;
  const auto& wire = node.request.traceparent;
  if (node.role == Role::kServer && wire && wire->trace_id == span.trace_id && span.parent_span_id.valid()) {
    fit.other_ids = wire->parent_id != span.parent_span_id;
    fit.excluded = fit.other_ids;
  }
  const uint64_t end_ns = EndOf(node);
  fit.excluded |= node.start_ns > pending.end.to_ns || end_ns < pending.start.from_ns;  // they do not overlap
  fit.apart_ns = Apart(node.start_ns, pending.start) + (node.finished ? Apart(end_ns, pending.end) : 0);
  // Events may be late: an exchange that seems open now may have ended before this span began.
  if (pending.tries <= 1) fit.excluded |= fit.other_ids && !node.finished;
  return fit;
}

// Candidates under one key that the span may be of, outwards from its start in both directions.
template <typename May>
HandedSpans::Found HandedSpans::Look(const PendingSpan& span, uint64_t key, May may) const {
  Found found;
  const auto look = [&](Node& node) {
    if (node.process->tgid != span.handed->tgid || !may(node)) return;
    const Fit fit = FitOf(span, node);
    if (!fit.excluded) found.emplace_back(fit, &node);
  };
  const auto middle = by_connection_.lower_bound({key, {span.start.from_ns, 0}});
  int left = kMaxLooked / 2;
  for (auto at = middle; at != by_connection_.end() && at->first.first == key && left-- > 0; ++at) {
    if (at->second->start_ns > span.end.to_ns) break;
    look(*at->second);
  }
  left = kMaxLooked / 2;
  for (auto at = middle; at != by_connection_.begin() && left-- > 0;) {
    if ((--at)->first.first != key) break;
    look(*at->second);
  }
  return found;
}

// The nearest; of several equally near the only one that what the span says of its request agrees with. Those of many
// connections are equally near unless one is much nearer, and it has to agree in any case.
Node* HandedSpans::Choose(const PendingSpan& span, Found& found, bool one_connection) {
  if (found.empty()) return nullptr;
  const auto best = std::min_element(found.begin(), found.end(),
                                     [](const auto& a, const auto& b) { return a.first.Order() < b.first.Order(); });
  const Fit least = best->first;
  if (!one_connection && least.other_ids && least.apart_ns > kMaxApartNs) return nullptr;
  const uint64_t equal_ns = (one_connection ? 1 : 2) * least.apart_ns + kEqualNs;
  const auto farther = [&least, equal_ns](const auto& each) {
    return each.first.other_ids != least.other_ids || each.first.apart_ns >= equal_ns;
  };
  found.erase(std::remove_if(found.begin(), found.end(), farther), found.end());
  if (found.size() == 1 && (one_connection || !least.other_ids)) return found.front().second;
  const HandedHints hints = ReadHints(span.handed->span.attributes);
  const uint64_t request_id = HashRequestId(hints.request_id);
  Node* only = nullptr;
  for (const auto& [fit, node] : found) {
    const uint64_t other_id = node->request.request_id_hash;
    if (!Agrees(hints, *node->exchange) || (request_id != 0 && other_id != 0 && request_id != other_id)) continue;
    if (only != nullptr) return nullptr;
    only = node;
  }
  return only;
}

Node* HandedSpans::ByConnection(const PendingSpan& span) const {
  const SpanConnection& connection = span.handed->connection;
  const bool client = RoleOf(span) == Role::kClient;
  const By by = !client ? By::kServerPeer : connection.local_port != 0 ? By::kClientLocal : By::kClientPeer;
  const uint16_t port = by == By::kClientLocal ? connection.local_port : connection.peer_port;
  if (connection.family == 0 || port == 0) return nullptr;
  Found found = Look(span, ConnectionKeyOf(span.handed->tgid, by, port),
                     [&](const Node& node) { return SameConnection(connection, node.exchange->endpoint); });
  return Choose(span, found, by != By::kClientPeer);
}

// A server span that does not say its connection. A thread of a proxy stamps the span of the request that it has just
// read, before it reads another: the last one read before the span's start, if the one before that was read much
// earlier. Proxies that stamp later end their spans with their last write: the nearest end. Both, if they agree.
Node* HandedSpans::ByTime(const PendingSpan& span) const {
  const SpanConnection& connection = span.handed->connection;
  if (connection.peer_port != 0) return nullptr;
  const Node* client = nullptr;
  EachAwaiting({span.handed->tgid, span.handed->span.span_id}, [&client](const Node& each) {
    client = &each;
    return false;
  });
  const Found found = Look(span, ConnectionKeyOf(span.handed->tgid, By::kServer, 0), [&](const Node& node) {
    if (client != nullptr && !node.process->proxy_class.crosses &&
        node.exchange->request_stamp.tid != client->exchange->request_stamp.tid) {
      return false;
    }
    return (client == nullptr || node.id < client->id) && SameConnection(connection, node.exchange->endpoint);
  });
  Outstanding by_start, by_end;
  for (const auto& [fit, node] : found) {
    if (!fit.other_ids) return node;
    if (node->start_ns <= span.start.to_ns) by_start.Add(*node, Apart(node->start_ns, span.start));
    if (node->finished) by_end.Add(*node, Apart(node->exchange->end_ns, span.end));
  }
  Node* const started = by_start.Get();
  Node* const ended = by_end.Get();
  if (started != nullptr && ended != nullptr && started != ended) return nullptr;
  Node* const node = started != nullptr ? started : ended;
  return node != nullptr && Agrees(ReadHints(span.handed->span.attributes), *node->exchange) ? node : nullptr;
}

// Client exchanges whose span, or whose header, calls this span their parent: what caused them is what it is of.
Node* HandedSpans::ByClients(const PendingSpan& span) const {
  const HandedId id = {span.handed->tgid, span.handed->span.span_id};
  Node* cause = nullptr;
  bool several = false;
  const auto look = [&](const Node& client) {
    Node* const server = static_cast<Node*>(client.cause);
    if (server == nullptr || !server->candidate || server == cause) return true;
    several |= cause != nullptr;
    cause = server;
    return true;
  };
  EachAwaiting(id, look);
  EachOutgoing(id, look);
  return several ? nullptr : cause;
}

Node* HandedSpans::ByRequestId(const PendingSpan& span) const {
  const uint64_t hash = HashRequestId(ReadHints(span.handed->span.attributes).request_id);
  if (hash == 0) return nullptr;
  Node* only = nullptr;
  int found = 0;
  const bool all =
      by_request_id_.Each(RequestIdKey(span.handed->tgid, RoleOf(span), hash), kMaxLooked, [&](Member& member) {
        Node& node = static_cast<Node&>(member);
        if (node.process->tgid != span.handed->tgid || node.role != RoleOf(span)) return true;
        if (!SameConnection(span.handed->connection, node.exchange->endpoint)) return true;
        if (FitOf(span, node).excluded) return true;
        only = &node;
        ++found;
        return true;
      });
  return all && found == 1 ? only : nullptr;
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
