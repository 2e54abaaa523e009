// SPDX-License-Identifier: Apache-2.0
//
// Which exchange a handed-off span is of.
#include <algorithm>
#include <cstring>

#include "agent/link/handed_hints.h"
#include "agent/link/handed_spans.h"
#include "agent/link/process_state.h"

namespace spantap {
namespace {

// Two exchanges that differ by less are equally near: system calls and time stamps are some microseconds apart.
constexpr uint64_t kEqualNs = 20'000;
// Of exchange and span whose connection is not known: times that are farther apart are no evidence.
constexpr uint64_t kMaxApartNs = 500'000;
constexpr uint64_t kFailedNs = 100'000'000;

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

// Until when its span may begin. A client that resets right after its request may be gone before the proxy looks at it;
// on such a connection nothing follows.
uint64_t EndOf(const Node& node) {
  if (!node.finished) return UINT64_MAX;
  const ExchangeError error = node.exchange->error;
  const bool failed = error != ExchangeError::kNone && error != ExchangeError::kUnfinished;
  return node.exchange->end_ns + (failed ? kFailedNs : 0);
}

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

Node* HandedSpans::Match(const PendingSpan& span) const {
  const bool client = RoleOf(span) == Role::kClient;
  Node* node = client ? ByTraceParent(span) : nullptr;
  if (node == nullptr) node = ByConnection(span);
  if (node == nullptr) node = client ? ByServer(span) : ByClients(span);
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
  fit.apart_ns = Apart(node.start_ns, pending.start) + (node.finished ? Apart(node.exchange->end_ns, pending.end) : 0);
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

// The only exchange that the exchange of the parent span caused, or may have caused: a proxy that passed no header on
// and says no connection was not yet attached when it sent the request.
Node* HandedSpans::ByServer(const PendingSpan& span) const {
  const uint32_t tgid = span.handed->tgid;
  const Node* const server = Named({tgid, span.handed->span.parent_span_id});
  if (server == nullptr || server->role != Role::kServer || span.handed->connection.family != 0) return nullptr;
  const HandedHints hints = ReadHints(span.handed->span.attributes);
  int caused = 0, others = 0;
  Node* child = nullptr;
  Node* other = nullptr;
  const uint64_t key = ConnectionKeyOf(tgid, By::kClient, 0);
  int left = kMaxLooked;
  for (auto at = by_connection_.lower_bound({key, {server->start_ns, 0}}); at != by_connection_.end(); ++at) {
    Node& node = *at->second;
    if (at->first.first != key || node.start_ns > server->end_ns) break;
    if (left-- == 0) return nullptr;
    if (node.process != server->process || !Agrees(hints, *node.exchange)) continue;
    if (node.cause == server) {
      ++caused;
      child = &node;
    } else if (node.cause == nullptr && node.tid == server->tid &&
               node.request.method_target == server->request.method_target) {
      ++others;
      other = &node;
    }
  }
  if (caused > 0) return caused == 1 ? child : nullptr;
  return others == 1 && server->finished ? other : nullptr;
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

}  // namespace spantap
