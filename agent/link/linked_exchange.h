// SPDX-License-Identifier: Apache-2.0
//
// A finished exchange with its place in a trace: what the linker delivers, what spans and the terminal
// view are made from. Owned by whoever receives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/cause/confidence.h"
#include "agent/connections/exchange.h"
#include "exporter/model/handed_span.h"
#include "exporter/model/trace_context.h"

namespace spantap {

// Why this exchange hangs where it hangs (README.md has the rules). Permanent names, append only.
enum class LinkRule : uint8_t {
  kNone,        // "": a root, no parent known
  kWire,        // "wire"
  kConnection,  // "connection"
  kRequestId,   // "request-id"
  kProxy,       // "proxy"
  kThread,      // "thread"
  kCalm,        // "calm"
  kHandoff,     // "handoff": the process itself says so, in a span that it handed off
  kProgram,     // "program": what the handler was known to do next
  kToken,       // "token": a rare value that both requests carry
  kJoint,       // "joint": all open handlers together leave one
};
inline constexpr size_t kLinkRules = static_cast<size_t>(LinkRule::kJoint) + 1;
absl::string_view LinkRuleName(LinkRule rule);

// A link that is not drawn: where the parent may be.
struct LinkCandidate {
  TraceId trace_id;
  SpanId span_id;
  LinkRule rule = LinkRule::kNone;
  Confidence confidence = 0;
};

struct LinkedExchange {
  std::unique_ptr<Exchange> exchange;  // finished
  TraceId trace_id;
  SpanId span_id;
  SpanId parent_span_id;  // invalid: a root
  LinkRule rule = LinkRule::kNone;
  Confidence confidence = 1.0;    // of the link to the parent; 1.0 for roots
  uint8_t flags = 0;              // W3C flags to export
  bool sampled = true;            // false: counted, never a span
  bool parent_is_remote = false;  // the parent was not observed by this agent
  uint8_t depth = 0;              // below the local root of its tree
  TraceId wire_trace_id;          // valid if adoption replaced the id seen on the wire
  SpanId wire_parent_id;          // the parent-id that came with it, if any
  // Why a client exchange has no parent although its process had requests open: a static name, the
  // one counted in LinkCounters::refused. "" for everything else.
  absl::string_view refused;
  // Of a root, if asked for (LinkSettings::candidates): the best one, however unsure.
  std::optional<LinkCandidate> candidate;
  // The span that the process handed off for this exchange, null if none came: it is what is exported, with the
  // ids above and what the exchange adds.
  std::unique_ptr<HandedSpan> handed;
};

class LinkedSink {
 public:
  virtual ~LinkedSink() = default;
  // One local tree, or a part of one that could not wait: parents before children, otherwise by
  // start time.
  virtual void OnTree(std::vector<LinkedExchange> tree) = 0;
  // A span that was handed off and belongs to no exchange, to be exported with the ids it has, in the trace `trace_id`:
  // its own, or the one that the span it hangs on was moved to.
  virtual void OnSpan(std::unique_ptr<HandedSpan> handed, const TraceId& trace_id) = 0;
  // Whether the links of a process need the counters of its threads; from the start they do.
  virtual void OnTurns(uint32_t tgid, bool needed) {}
};

}  // namespace spantap
