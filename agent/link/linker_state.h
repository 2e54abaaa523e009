// SPDX-License-Identifier: Apache-2.0
//
// What the linker holds and does; see linker.h for the outside. linker_state.cc has the life of an
// exchange, cause_join.cc what becomes of those that no rule claims, delivery.cc the life of a tree, handed_join.cc
// that of a span that was handed off.
//
// Event thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "agent/link/cause_feed.h"
#include "agent/link/connection_join.h"
#include "agent/link/forest.h"
#include "agent/link/handed_spans.h"
#include "agent/link/linker.h"
#include "agent/link/node.h"
#include "agent/link/processes.h"
#include "agent/link/rules.h"
#include "agent/link/trace_ids.h"

namespace spantap {

struct Linker::State {
  State(const LinkSettings& link_settings, IdGenerator& id_generator, LinkedSink& linked_sink,
        std::unique_ptr<CauseFinder> finder)
      : settings(link_settings),
        sink(linked_sink),
        causes(link_settings, std::move(finder)),
        trace_ids(link_settings, id_generator, counters) {}

  // The life of an exchange.
  void OnRequest(Exchange& exchange);
  void OnResponse(Exchange& exchange);
  void OnFinished(std::unique_ptr<Exchange> exchange);
  void Touch(uint64_t mono_ns) { now_ns = std::max(now_ns, mono_ns); }

  // Links.
  void JoinConnection(Node& node);
  void JoinByIds(Node& server);
  void AskFirst(Node& client);
  void Ask(Node& client, bool final);
  void AskAll(Wake& wake);
  void Draw(Node& client, const LinkDecision& decision, LinkRule rule);
  void Refuse(Node& client, absl::string_view reason);
  void Decided(Node& client);
  bool Connect(Node& child, Node& parent, LinkRule rule, Confidence confidence);

  // The cause finder.
  void Follow(Node& node);
  void TellTurns(ProcessState& process);
  bool AwaitCause(Node& client, absl::string_view reason, bool final);
  void TellCause(const Node& client, uint64_t server);
  void AskCauses();
  void PumpCauses();
  void OnCause(const CauseDecision& decision);
  void Release(Node& server);
  void OnProcessEnd(uint32_t tgid);

  // Candidates of roots.
  void Suggest(Node& client, Node& server, LinkRule rule, Confidence confidence);
  void TellIds(Node& server);
  void AwaitNoIds(Node& client);
  std::optional<LinkCandidate> CandidateOf(const Node& root);

  // Spans that were handed off.
  void OnProducers(const std::vector<uint32_t>& tgids);
  void OnSpan(std::unique_ptr<HandedSpan> span);
  void PumpSpans();
  void FlushSpans();
  void Expect(Node& node);
  void ExpectNoMore(Node& node);
  void Bind(Node& node, PendingSpan& span);
  void TakeId(Node& node);
  void FollowParent(Node& client, SpanId at, bool remote, bool own_parent);
  void AwaitParent(Node& client, bool await);
  void PassUp(const HandedId& id, const Span& span);
  void DrawHanded(Node& client, Node& server, bool own_parent);
  void GiveUp(PendingSpan& span);
  void SendAlone(std::unique_ptr<HandedSpan> span, const TraceId& trace_id);
  void Reserve(Node& server);
  void TellEarly(Node& node);
  void Past(Node& node, LinkedExchange& linked);

  // Trees.
  void CheckReady(Node& root);
  void Pump();
  void Flush();
  void DeliverPartOf(Node& finished);
  void FixIds(Node& root, std::vector<Node*>& members);
  void Deliver(Node& root, const Node* wanted = nullptr);
  bool MayWait(const Node& node, const Node* wanted) const;
  void DeliverUntracked(std::unique_ptr<Exchange> exchange);
  LinkedExchange PlaceOf(Node& node);
  LinkedExchange MakeLinked(Node& node);
  void ForceOldest();
  void Free(Node& leaf);
  void PushFinished(Node& node);
  void PopFinished(Node& node);
  Node* Find(uint64_t id);

  const LinkSettings settings;
  LinkedSink& sink;
  LinkCounters counters;
  uint64_t now_ns = 0;
  Processes processes;
  std::vector<std::unique_ptr<InferenceRule>> rules = MakeRules();
  CauseFeed causes;
  ConnectionJoin join;
  TraceIds trace_ids;
  MemberIndex clients_by_request_id;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Node>> nodes;  // key: Exchange::id
  absl::flat_hash_set<uint64_t> own_exports;                   // open ones
  // Finished and undelivered, oldest first.
  Node* oldest = nullptr;
  Node* newest = nullptr;
  // Trees that wait for nothing but time: (when, root). Stale entries are recognised when they come up.
  using Due = std::pair<uint64_t, uint64_t>;
  bool flushing = false;
  HandedSpans handed;
  // Matched spans whose exchange was not over then: (until when they wait, exchange), in order.
  std::deque<std::pair<uint64_t, uint64_t>> bound;
  // Spans that follow a node that is being delivered, and its trace.
  std::vector<std::pair<std::unique_ptr<HandedSpan>, TraceId>> followers;
  std::priority_queue<Due, std::vector<Due>, std::greater<Due>> due;
};

}  // namespace spantap
