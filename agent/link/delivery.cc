// SPDX-License-Identifier: Apache-2.0
//
// The life of a tree in the linker: ready, due, delivered whole or in parts, freed.
#include <algorithm>
#include <utility>

#include "agent/link/linker_state.h"

namespace spantap {
namespace {

// A proxy that gives up a response half-way closes the connection only after a delay of its own (Envoy:
// delayed_close_timeout, a second). The response was over when what it was made from was.
void EndAbortedResponse(const Node& server) {
  Exchange& exchange = *server.owned;
  if (exchange.role != Role::kServer || exchange.error != ExchangeError::kResponseAborted) return;
  uint64_t last_ns = 0;
  for (const Node* child = server.first_child; child != nullptr; child = child->next_sibling) {
    if (child->role != Role::kClient) continue;
    if (child->owned == nullptr) return;
    last_ns = std::max(last_ns, child->owned->end_ns);
  }
  if (last_ns == 0) return;
  exchange.end_ns = std::min(exchange.end_ns, std::max(last_ns, exchange.response_stamp.end_mono_ns));
}

}  // namespace

// A tree in which nothing is open or undecided waits for its connections' other ends only.
void Linker::State::CheckReady(Node& root) {
  if (root.blockers > 0) return;
  const uint64_t when = std::max<uint64_t>(root.settle_at, 1);
  if (root.queued_for == when) return;
  root.queued_for = when;
  due.emplace(when, root.id);
}

void Linker::State::Pump() {
  PumpCauses();
  while (!due.empty() && due.top().first <= now_ns) {
    const auto [when, id] = due.top();
    due.pop();
    Node* const root = Find(id);
    if (root == nullptr || root->queued_for != when) continue;
    root->queued_for = 0;
    if (root->parent != nullptr || root->blockers > 0) continue;
    if (root->settle_at > now_ns) {
      CheckReady(*root);
    } else {
      Deliver(*root);
    }
  }
  const auto overdue = [this] {
    return oldest != nullptr && oldest->finished_at + settings.decision_limit_ns <= now_ns;
  };
  if (overdue()) AskCauses();
  while (overdue()) DeliverPartOf(*oldest);
}

void Linker::State::Flush() {
  flushing = true;
  FlushSpans();
  causes.finder().Flush();
  PumpCauses();
  for (Node* node = oldest; node != nullptr; node = node->newer) Ask(*node, true);
  while (oldest != nullptr) DeliverPartOf(*oldest);
  for (PendingSpan* const span : handed.All()) GiveUp(*span);
  flushing = false;
}

void Linker::State::ForceOldest() {
  if (oldest == nullptr) return;
  const uint64_t before = nodes.size();
  DeliverPartOf(*oldest);
  counters.forced += before - nodes.size();
}

// The whole tree that a finished node is in, as far as it is finished.
void Linker::State::DeliverPartOf(Node& finished) {
  Ask(RootOf(finished), true);
  Deliver(RootOf(finished), &finished);
}

void Linker::State::FixIds(Node& root, std::vector<Node*>& members) {
  InOrder(root, members);
  for (Node* node : members) {
    if (!node->fixed && node->candidate && node->role == Role::kServer) Reserve(*node);
  }
  trace_ids.Assign(members, now_ns);
  for (Node* node : members) TellIds(*node);
}

// In a tree that others cannot wait for any longer: its span, or what it caused, may still come.
bool Linker::State::MayWait(const Node& node, const Node* wanted) const {
  return (node.awaits_span || node.held) && !flushing && &node != wanted &&
         node.finished_at + settings.decision_limit_ns > now_ns;
}

void Linker::State::Deliver(Node& root, const Node* wanted) {
  std::vector<Node*> members;
  FixIds(root, members);
  std::vector<LinkedExchange> tree;
  tree.reserve(members.size());
  for (Node* node : members) {
    if (!node->finished || node->delivered || MayWait(*node, wanted)) continue;
    const bool told = node->told;
    LinkedExchange linked = MakeLinked(*node);
    if (!told) tree.push_back(std::move(linked));
  }
  // Leaves first. What is left has something open below it, or is open itself.
  bool whole = true;
  for (auto it = members.rbegin(); it != members.rend(); ++it) {
    if ((*it)->delivered && (*it)->first_child == nullptr) {
      Free(**it);
    } else {
      whole = false;
    }
  }
  if (!whole) ++counters.parts;
  if (!tree.empty()) sink.OnTree(std::move(tree));
  for (auto& [span, trace_id] : std::exchange(followers, {})) SendAlone(std::move(span), trace_id);
}

// Where a node with fixed ids stands in its trace.
LinkedExchange Linker::State::PlaceOf(Node& node) {
  LinkedExchange linked;
  linked.trace_id = node.trace_id;
  linked.span_id = node.span_id;
  linked.flags = node.flags;
  linked.sampled = node.sampled;
  linked.depth = node.depth;
  linked.refused = node.refused;
  const TraceParent* const bore = WireOf(node);
  if (bore != nullptr && bore->trace_id != node.trace_id) {
    linked.wire_trace_id = bore->trace_id;
    linked.wire_parent_id = bore->parent_id;
  }
  const auto& wire = node.request.traceparent;
  const Span* const span = node.handed != nullptr ? &node.handed->span : nullptr;
  if (node.parent != nullptr && !node.cut) {
    linked.parent_span_id = node.own_parent && span != nullptr ? span->parent_span_id : node.parent->span_id;
    linked.rule = node.rule;
    linked.confidence = node.confidence;
  } else if (span != nullptr && span->parent_span_id.valid()) {
    const bool on_wire = node.role == Role::kServer && wire && wire->parent_id == span->parent_span_id;
    linked.parent_span_id = span->parent_span_id;
    linked.rule = on_wire ? LinkRule::kWire : LinkRule::kHandoff;
    linked.parent_is_remote = span->parent_is_remote;
  } else if (span == nullptr && wire && (node.role == Role::kServer || node.repeated || node.claim_lost)) {
    linked.parent_span_id = wire->parent_id;
    linked.rule = LinkRule::kWire;
    linked.parent_is_remote = trace_ids.ClaimedBy(wire->parent_id) == 0;
  } else {
    ++counters.roots;
    linked.candidate = CandidateOf(node);
  }
  if (linked.rule != LinkRule::kNone) ++counters.linked[static_cast<size_t>(linked.rule)];
  return linked;
}

LinkedExchange Linker::State::MakeLinked(Node& node) {
  LinkedExchange linked;
  if (!node.told) linked = PlaceOf(node);
  Past(node, linked);
  if (!linked.sampled && linked.handed == nullptr) ++counters.unsampled;
  if (!node.joined && node.join_key != 0) join.NoteLonely(node, true);
  join.Forget(node);
  Release(node);
  AwaitNoIds(node);
  EndAbortedResponse(node);
  linked.exchange = std::move(node.owned);
  PopFinished(node);
  node.delivered = true;
  return linked;
}

// With the table full of open exchanges, one more is not followed: it is reported alone.
void Linker::State::DeliverUntracked(std::unique_ptr<Exchange> exchange) {
  ++counters.forced;
  Node node(*exchange);
  node.request = DigestHead(exchange->request);
  node.owned = std::move(exchange);
  node.finished = true;
  trace_ids.OnRequest(node);
  trace_ids.Assign({&node}, now_ns);
  PushFinished(node);
  std::vector<LinkedExchange> tree;
  tree.push_back(MakeLinked(node));
  sink.OnTree(std::move(tree));
}

void Linker::State::Free(Node& leaf) {
  Detach(leaf);
  if (leaf.process != nullptr) handed.Unname(leaf);
  if (leaf.role == Role::kClient && leaf.request.request_id_hash != 0) {
    clients_by_request_id.Remove(leaf.request.request_id_hash, leaf.hooks[kSlotRequestId]);
  }
  Processes::Leave(leaf);
  nodes.erase(leaf.id);
}

void Linker::State::PushFinished(Node& node) {
  node.finished_at = now_ns;
  node.older = newest;
  (newest != nullptr ? newest->newer : oldest) = &node;
  newest = &node;
}

void Linker::State::PopFinished(Node& node) {
  (node.older != nullptr ? node.older->newer : oldest) = node.newer;
  (node.newer != nullptr ? node.newer->older : newest) = node.older;
  node.older = node.newer = nullptr;
}

}  // namespace spantap
