// SPDX-License-Identifier: Apache-2.0
//
// The life of a span that a process handed off, from its coming to the node of its exchange, or past it.
#include <utility>

#include "agent/link/linker_state.h"

namespace spantap {
namespace {

// Spans between a client span and the server span above it (subrequests).
constexpr int kMaxBetween = 16;
// A span whose parent may still find its exchange waits with it, at most so long.
constexpr uint64_t kMaxWaitNs = 2'000'000'000;

}  // namespace

void Linker::State::OnProducers(const std::vector<uint32_t>& tgids) {
  const std::vector<uint32_t> fresh = handed.SetProducers(tgids, now_ns);
  if (fresh.empty()) return;
  const absl::flat_hash_set<uint32_t> wanted(fresh.begin(), fresh.end());
  for (const auto& [id, node] : nodes) {
    if (!node->delivered && wanted.contains(node->process->tgid)) Expect(*node);
  }
}

void Linker::State::Expect(Node& node) {
  handed.AddCandidate(node);
  const auto& wire = node.request.traceparent;
  if (node.awaits_span || (wire && !wire->sampled())) return;
  node.awaits_span = true;
  ++RootOf(node).blockers;
}

void Linker::State::ExpectNoMore(Node& node) {
  if (!std::exchange(node.awaits_span, false)) return;
  Node& root = RootOf(node);
  --root.blockers;
  CheckReady(root);
}

void Linker::State::OnSpan(std::unique_ptr<HandedSpan> span) {
  const HandedId id = {span->tgid, span->span.span_id};
  const TraceId trace_id = span->span.trace_id;
  Node* const named = handed.Named(id);
  const HandedSpans::Past* const past = handed.Recall(id);
  const SpanKind kind = span->span.kind;
  const bool told = past != nullptr && past->told;
  if (told && kind == (past->role == Role::kServer ? SpanKind::kServer : SpanKind::kClient)) {
    ++counters.handed.late;
    return;
  }
  const bool expected = named != nullptr && named->candidate && named->handed_id == id.id && kind == SpanKind::kServer;
  const bool repeated =
      !expected && (named != nullptr || (past != nullptr && !told) || handed.FindPending(id) != nullptr);
  PendingSpan* const pending = repeated ? nullptr : handed.Add(span, now_ns);
  if (pending == nullptr) {
    ++counters.handed.unmatched_spans;
    if (!repeated) ++counters.handed.overflow;
    sink.OnSpan(std::move(span), trace_id);
  } else if (expected) {
    Bind(*named, *pending);
  }
}

void Linker::State::PumpSpans() {
  handed.ForgetGone(now_ns);
  std::vector<HandedId> left;  // client spans whose server span may come right after them
  while (PendingSpan* const span = handed.TakeDue(now_ns)) {
    const HandedId id = {span->handed->tgid, span->handed->span.span_id};
    Node* const node = span->matchable() ? handed.Match(*span) : nullptr;
    if (node != nullptr) {
      Bind(*node, *span);
    } else if (span->tries >= HandedSpans::kTries) {
      GiveUp(*span);
    } else if (!span->matchable()) {
      PassUp(id, span->handed->span);
    } else if (span->tries == 1 && span->handed->span.kind == SpanKind::kClient) {
      left.push_back(id);
    }
  }
  for (const HandedId& id : left) {
    PendingSpan* const span = handed.FindPending(id);
    Node* const node = span != nullptr ? handed.Match(*span) : nullptr;
    if (node != nullptr) Bind(*node, *span);
  }
  while (!bound.empty() && bound.front().first <= now_ns) {
    Node* const node = Find(bound.front().second);
    bound.pop_front();
    if (node != nullptr && node->handed != nullptr && !node->finished) TellEarly(*node);
  }
}

// At the end: what can be matched is, also by what others have been matched with; the rest is given up when the trees
// have gone.
void Linker::State::FlushSpans() {
  bool more = true;
  for (int round = 0; more && round < HandedSpans::kTries; ++round) {
    more = false;
    for (PendingSpan* const span : handed.All()) {
      span->tries = HandedSpans::kTries;
      Node* const node = span->matchable() ? handed.Match(*span) : nullptr;
      if (node == nullptr) continue;
      Bind(*node, *span);
      more = true;
    }
  }
}

void Linker::State::Bind(Node& node, PendingSpan& span) {
  ++counters.handed.matched;
  handed.RemoveCandidate(node);
  node.handed = handed.Remove(span);
  const Span& told = node.handed->span;
  // Moved to another trace, a server span names what it hung on there; others, and roots, what they were.
  const bool hung = node.role == Role::kServer && told.parent_span_id.valid();
  node.spoken = TraceParent{told.trace_id, hung ? told.parent_span_id : told.span_id, told.flags};
  handed.Name(node, told.span_id);
  if (!node.fixed) TakeId(node);
  if (!node.finished) bound.emplace_back(now_ns + settings.decision_limit_ns, node.id);
  if (node.role == Role::kClient) {
    FollowParent(node, told.parent_span_id, told.parent_is_remote, false);
  } else {
    std::vector<Node*> clients;
    const HandedId id = {node.process->tgid, told.span_id};
    const auto take = [&clients](Node& client) {
      clients.push_back(&client);
      return true;
    };
    handed.EachAwaiting(id, take);
    handed.EachOutgoing(id, take);
    for (Node* const client : clients) {
      AwaitParent(*client, false);
      DrawHanded(*client, node, client->own_parent);
    }
  }
  ExpectNoMore(node);
  CheckReady(RootOf(node));
}

// The id is on the wire as this exchange's own, or as that of a client exchange to which its process passed it on.
// What another process sent first, or what has been exported, is nobody else's: then this span gets a new one.
void Linker::State::TakeId(Node& node) {
  const uint64_t claimer = trace_ids.ClaimedBy(node.handed_id);
  if (claimer == 0 || claimer == node.id) return;
  Node* const other = Find(claimer);
  const bool ours = other != nullptr && other->process == node.process && !other->fixed;
  (ours ? other->claim_lost : node.id_taken) = true;
}

void Linker::State::AwaitParent(Node& client, bool await) {
  if (!await) handed.StopAwaiting(client);
  if (std::exchange(client.awaits_parent, await) == await) return;
  Node& root = RootOf(client);
  root.blockers += await ? 1 : -1;
  CheckReady(root);
}

// Looks for the server exchange above a client span: that of its parent span, or of the first matched span above that.
void Linker::State::FollowParent(Node& client, SpanId at, bool remote, bool own_parent) {
  const uint32_t tgid = client.process->tgid;
  for (int i = 0; i < kMaxBetween && at.valid() && !remote; ++i) {
    if (Node* const node = handed.Named({tgid, at})) {
      AwaitParent(client, false);
      return DrawHanded(client, *node, own_parent || node->handed_id != at);
    }
    const PendingSpan* const between = handed.FindPending({tgid, at});
    if (between != nullptr && !between->matchable()) {
      remote = between->handed->span.parent_is_remote;
      at = between->handed->span.parent_span_id;
      own_parent = true;
      continue;
    }
    // What came in with the request is no span of this process.
    const auto* const incoming = client.cause != nullptr ? &client.cause->request.traceparent : nullptr;
    if (incoming != nullptr && *incoming && (*incoming)->parent_id == at) break;
    if (between == nullptr && handed.Recall({tgid, at}) != nullptr) break;
    client.own_parent = own_parent;
    handed.AwaitParent(client, at);
    return AwaitParent(client, true);
  }
  AwaitParent(client, false);
}

// A span without an exchange: those that wait for it wait for its parent, those that sent its id hang on it.
void Linker::State::PassUp(const HandedId& id, const Span& span) {
  handed.EachOutgoing(id, [](Node& client) { return client.claim_lost = true; });  // unless its ids are fixed
  std::vector<Node*> clients;
  handed.EachAwaiting(id, [&clients](Node& client) {
    clients.push_back(&client);
    return true;
  });
  for (Node* const client : clients) {
    handed.StopAwaiting(*client);
    FollowParent(*client, span.parent_span_id, span.parent_is_remote, true);
  }
}

// The process's own word is better than any inference.
void Linker::State::DrawHanded(Node& client, Node& server, bool own_parent) {
  if (&client == &server || client.role != Role::kClient) return;
  client.own_parent = own_parent;
  if (client.parent == &server) return;
  if (client.undecided) return Draw(client, LinkDecision::Link(&server, 1.0), LinkRule::kHandoff);
  if (client.fixed) {
    ++counters.late;
    return;
  }
  if (client.parent != nullptr) {
    Node& old_root = RootOf(client);
    Split(client);
    CheckReady(old_root);
    CheckReady(client);
    client.cause = nullptr;
  }
  AwaitNoIds(client);
  if (!Connect(client, server, LinkRule::kHandoff, 1.0)) return;
  client.cause = &server;
  client.refused = "";
  ++server.client_count;
}

// No exchange was found. It stays in the trace of the span it hangs on.
void Linker::State::GiveUp(PendingSpan& pending) {
  const Span& span = pending.handed->span;
  const HandedId id = {pending.handed->tgid, span.span_id};
  const HandedId parent = {id.tgid, span.parent_span_id};
  if (!flushing && handed.FindPending(parent) != nullptr && now_ns - pending.came_ns < kMaxWaitNs) {
    return handed.Postpone(pending, now_ns);
  }
  // Nobody observes some of those that hand off.
  if (pending.matchable() && processes.Knows(id.tgid)) ++counters.handed.unmatched_spans;
  std::unique_ptr<HandedSpan> given = handed.Remove(pending);
  PassUp(id, given->span);
  // A client exchange that sent this id has been exported under it, or will be.
  const auto* const own_past = handed.Recall(id);
  bool taken = own_past != nullptr && own_past->told;
  handed.EachOutgoing(id, [&](const Node& client) {
    taken |= client.fixed && client.span_id == id.id;
    return !taken;
  });
  if (taken) given->span.span_id = trace_ids.NewSpanId();
  Node* const node = handed.Named(parent);
  if (node != nullptr && !node->delivered && !flushing) {
    handed.NameAlso(*node, id.id);
    node->below.push_back(std::move(given));
    return;
  }
  TraceId trace_id = given->span.trace_id;
  if (const auto* const past = handed.Recall(parent); past != nullptr && !past->told) {
    trace_id = past->trace_id;
    given->span.parent_span_id = past->span_id;
  }
  SendAlone(std::move(given), trace_id);
}

void Linker::State::SendAlone(std::unique_ptr<HandedSpan> span, const TraceId& trace_id) {
  handed.Release(*span);
  handed.Remember({span->tgid, span->span.span_id}, {false, Role::kClient, trace_id, span->span.span_id});
  sink.OnSpan(std::move(span), trace_id);
}

// The ids of a server exchange are needed before its span has come: a client span may tell what it will be.
void Linker::State::Reserve(Node& server) {
  for (Node* child = server.first_child; child != nullptr; child = child->next_sibling) {
    if (child->handed == nullptr || !child->awaited_id.valid() || child->own_parent) continue;
    const HandedId id = {server.process->tgid, child->awaited_id};
    const bool used = handed.FindPending(id) != nullptr || handed.Named(id) != nullptr || handed.Recall(id) != nullptr;
    if (used || child->process != server.process) continue;
    handed.Name(server, id.id);
    TakeId(server);
    break;
  }
  if (!server.handed_id.valid()) return;
  for (Node* child = server.first_child; child != nullptr; child = child->next_sibling) {
    if (child->awaited_id == server.handed_id) AwaitParent(*child, false);
  }
}

// Its exchange does not end; the span has.
void Linker::State::TellEarly(Node& node) {
  std::vector<Node*> members;
  FixIds(RootOf(node), members);
  const LinkedExchange place = PlaceOf(node);
  AwaitParent(node, false);
  Span& span = node.handed->span;
  handed.Release(*node.handed);
  span.span_id = place.span_id;
  span.parent_span_id = place.parent_span_id;
  span.parent_is_remote = place.parent_is_remote;
  node.told = true;
  sink.OnSpan(std::move(node.handed), node.trace_id);
}

// A node is delivered: what it leaves behind for spans that come later.
void Linker::State::Past(Node& node, LinkedExchange& linked) {
  for (auto& span : node.below) followers.emplace_back(std::move(span), node.trace_id);
  node.below.clear();
  const uint32_t tgid = node.exchange->tgid;
  const bool untracked = node.process == nullptr;
  if (!untracked) AwaitParent(node, false);
  if (node.candidate || (untracked && handed.HandsOff(tgid))) {
    handed.RemoveCandidate(node);
    if (node.awaits_span || untracked) ++counters.handed.unmatched_exchanges;
    ExpectNoMore(node);
    const bool own_id = node.span_id == node.handed_id || node.span_id == node.claimed;
    node.told = own_id;
    if (own_id) handed.Remember({tgid, node.span_id}, {true, node.role, node.trace_id, node.span_id});
  } else if (node.handed != nullptr) {
    linked.handed = std::move(node.handed);
    handed.Release(*linked.handed);
    handed.Remember({tgid, node.handed_id}, {false, node.role, node.trace_id, node.span_id});
  }
}

}  // namespace spantap
