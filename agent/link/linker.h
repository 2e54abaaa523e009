// SPDX-License-Identifier: Apache-2.0
//
// Exchanges in, trees of linked exchanges with trace ids out.
//
//   exchange ──► in-process link (inference.h) ──► connection join ──► ids, adoption, sampling ──► tree
//
// A tree is delivered when its local root and all its members are finished and nothing of it may still
// change, at the latest Settings::decision_limit after a member finished.
//
// Event thread only. Memory: at most Settings::max_exchanges held; beyond it the oldest tree is
// delivered as it is and counted.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/cause/cause_finder.h"
#include "agent/cause/tokens.h"
#include "agent/connections/exchange.h"
#include "agent/link/linked_exchange.h"
#include "exporter/model/trace_context.h"

namespace spantap {

struct LinkSettings {
  double threshold = 0.9;           // links below it are not drawn
  bool candidates = false;          // but told (LinkedExchange::candidate)
  bool adopt = true;                // --adopt=on|off
  double sample_ratio = 1.0;        // of new roots; without sample_parent_based of all traces
  bool sample_parent_based = true;  // a decision that came in with a request is kept
  uint64_t decision_limit_ns = 2'000'000'000;
  uint64_t settle_ns = 50'000'000;  // how long after a root's end stragglers may still arrive
  size_t max_exchanges = 65536;
  uint32_t request_id_reuse_limit = 64;  // roots a minute with one x-request-id: more, and it is no id
  CauseSettings cause;
  TokenSettings tokens;
};

// Spans that processes hand off, and their exchanges.
struct HandedCounters {
  uint64_t matched = 0;              // pairs, each exported once
  uint64_t unmatched_spans = 0;      // no exchange was found for them in time: exported as they are
  uint64_t unmatched_exchanges = 0;  // no span came for them in time: exported from what was observed
  uint64_t late = 0;      // spans that came after their exchange was exported under their id: not exported again
  uint64_t overflow = 0;  // of unmatched_spans: there was no room to keep them waiting
};

struct LinkCounters {
  uint64_t linked[kLinkRules] = {};  // by LinkRule
  uint64_t roots = 0;
  uint64_t refused_ambiguous = 0;  // candidates, but none sure enough
  uint64_t refused_unknown = 0;    // no candidate
  uint64_t adopted = 0;
  uint64_t unsampled = 0;  // exchanges that sampling left out
  uint64_t forced = 0;     // delivered early because of max_exchanges
  uint64_t request_id_reused = 0;
  uint64_t own_export_skipped = 0;  // OTLP export requests of observed processes: counted, never spans
  uint64_t late = 0;                // links found after the ids of one side were delivered: not drawn
  uint64_t parts = 0;               // trees delivered in more than one piece, pieces but the last
  uint64_t candidates = 0;          // roots that tell their best candidate
  uint64_t candidates_lost = 0;     // and those that do not, because its ids were not known in time
  HandedCounters handed;
  // Refusals by their static reason; a handful of entries, in order of first use.
  std::vector<std::pair<absl::string_view, uint64_t>> refused;
  CauseCounters cause;
};

class Linker final : public ExchangeSink {
 public:
  // `finder`: null for the real one.
  Linker(const LinkSettings& settings, IdGenerator& ids, LinkedSink& sink,
         std::unique_ptr<CauseFinder> finder = nullptr);
  ~Linker() override;

  void OnRequest(Exchange& exchange) override;
  void OnResponse(Exchange& exchange) override;
  void OnFinished(std::unique_ptr<Exchange> exchange) override;
  void OnForeign(uint32_t tgid, const ConnectionEnds& ends, Opener opener) override;

  // All processes that hand off spans: their exchanges wait for them, at most Settings::decision_limit.
  void OnProducers(const std::vector<uint32_t>& tgids);
  // A span that was handed off by a process that is, or may be, observed. It is delivered once, with its exchange
  // (LinkedExchange::handed) or alone (LinkedSink::OnSpan).
  void OnSpan(std::unique_ptr<HandedSpan> handed);

  // The process is gone, or has become another program: forget what was learned about it.
  void OnProcessEnd(uint32_t tgid);
  // Delivers what is due.
  void OnTime(uint64_t mono_ns);
  // Delivers everything that is finished; at the end of a run (every exchange has been finished then).
  void Flush();
  const LinkCounters& counters() const;  // valid until the next call of any
  CauseFinder& causes();                 // for what is remembered of programs

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spantap
