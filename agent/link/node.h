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

#include "absl/strings/string_view.h"
#include "agent/link/inference.h"
#include "agent/link/linked_exchange.h"

namespace spantap {

struct Node : Member {
  explicit Node(Exchange& from) : Member(from), start_ns(from.request_stamp.mono_ns) {}

  const uint64_t start_ns;

  std::unique_ptr<Exchange> owned;  // from OnFinished() to delivery
  bool delivered = false;

  // The tree. Children in order of attachment.
  Node* parent = nullptr;
  Node* first_child = nullptr;
  Node* last_child = nullptr;
  Node* prev_sibling = nullptr;
  Node* next_sibling = nullptr;
  LinkRule rule = LinkRule::kNone;  // of the link to `parent`
  double confidence = 1.0;

  // The question which server exchange caused this client exchange.
  bool undecided = false;
  bool asked = false;
  bool had_candidates = false;
  uint8_t asking = 0;  // index of the rule that said kLater
  absl::string_view refused;

  // Over the tree, kept at its root. What is waited for, and (an upper bound of) its height.
  int height = 0;
  uint32_t blockers = 0;    // members unfinished or undecided
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
};

}  // namespace spantap
