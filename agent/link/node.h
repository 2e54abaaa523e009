// SPDX-License-Identifier: Apache-2.0
//
// A member with its place in a local tree: everything that links and joins connect, across processes.
// Owned by the linker's table; tree operations are in forest.h.
//
//   open ──OnFinished──► finished ──delivered──► ghost (ids only, until its children are delivered)
//
// Event thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/cause/cause_finder.h"
#include "agent/link/inference.h"
#include "agent/link/linked_exchange.h"

namespace spantap {

struct Node : Member {
  explicit Node(Exchange& from) : Member(from), start_ns(from.request_stamp.mono_ns), tid(from.request_stamp.tid) {}

  const uint64_t start_ns;
  const uint32_t tid;
  uint64_t end_ns = UINT64_MAX;  // until it is finished

  std::unique_ptr<Exchange> owned;  // from OnFinished() to delivery
  bool delivered = false;

  // The tree. Children in order of attachment.
  Node* parent = nullptr;
  Node* first_child = nullptr;
  Node* last_child = nullptr;
  Node* prev_sibling = nullptr;
  Node* next_sibling = nullptr;
  LinkRule rule = LinkRule::kNone;  // of the link to `parent`
  Confidence confidence = 1.0;

  // The question which server exchange caused this client exchange.
  bool undecided = false;
  bool asked = false;
  bool had_candidates = false;
  bool narrowed = false;  // some of these shared an id with it
  uint8_t asking = 0;     // index of the rule that said kLater
  absl::string_view refused;

  // The cause finder (cause_join.cc).
  bool followed = false;                   // it knows this exchange
  bool held = false;                       // server, a blocker: it may still name this one
  bool awaits_cause = false;               // client: no rule claims it, the finder is to decide
  std::unique_ptr<CauseDecision> verdict;  // what it decided while a rule still waited

  // The best candidate of a root, if it is to be told. Its ids are known when its tree is delivered.
  std::unique_ptr<LinkCandidate> likely;  // client
  bool awaits_likely = false;             // client, a blocker: its ids are not known yet
  MemberList likely_of;                   // server: clients that wait for its ids

  // Over the tree, kept at its root. What is waited for, and (an upper bound of) its height.
  int height = 0;
  uint32_t blockers = 0;    // sum of OwnBlockers()
  uint64_t settle_at = 0;   // until then the other end of some connection may still turn up
  uint64_t queued_for = 0;  // the time at which its delivery is queued; 0: it is not

  // In the list of finished and undelivered nodes.
  Node* older = nullptr;
  Node* newer = nullptr;
  uint64_t finished_at = 0;

  // The connection join.
  uint64_t join_key = 0;  // 0: cannot be joined
  bool joined = false;

  // Ids, fixed when the first part of the tree is delivered.
  bool fixed = false;
  TraceId trace_id;
  SpanId span_id;
  uint8_t flags = 0;
  bool sampled = true;
  uint8_t depth = 0;
  bool cut = false;       // another trace than the parent's: the link is not shown (--adopt=off)
  size_t segment = 0;     // scratch of TraceIds::Assign
  SpanId claimed;         // client: the outgoing parent-id, if it is this exchange's own
  bool repeated = false;  // client: the outgoing parent-id came in with a request of this process

  // The span that the process hands off for this exchange (handed_spans.h).
  bool candidate = false;              // stands in the table of those that a span may be of
  bool awaits_span = false;            // a blocker
  bool awaits_parent = false;          // a blocker: its span's parent is a span that is still to come
  bool told = false;                   // its span has been exported: nothing is to be delivered any more
  std::unique_ptr<HandedSpan> handed;  // from the match to delivery
  std::optional<TraceParent> spoken;   // the span's ids and flags, which then stand for those on the wire
  SpanId handed_id;                    // the span's id, or the one it will have, as others of its process tell
  bool id_taken = false;               // handed_id is another's
  bool claim_lost = false;             // claimed is that of the span above it
  bool own_parent = false;             // the span's parent is an unmatched span between this and `parent`
  SpanId awaited_id;                   // of kSlotHandedBy
  std::vector<std::unique_ptr<HandedSpan>> below;  // unmatched spans that follow this one's trace
  std::vector<SpanId> also_named;                  // their ids

  uint32_t OwnBlockers() const {
    return (finished ? 0 : 1) + undecided + held + awaits_likely + awaits_span + awaits_parent;
  }
};

}  // namespace spantap
