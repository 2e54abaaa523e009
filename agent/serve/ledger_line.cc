// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/ledger_line.h"

#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace spantap {
namespace {

void Add(std::string& line, absl::string_view name, uint64_t value) { absl::StrAppend(&line, " ", name, "=", value); }
void AddIf(std::string& line, absl::string_view name, uint64_t value) {
  if (value != 0) Add(line, name, value);
}

void AddSource(std::string& line, const SourceCounters& source) {
  AddIf(line, "events_dropped.ring_full", source.drop_ring_full);
  AddIf(line, "events_dropped.conn_state", source.drop_conn_state);
  AddIf(line, "events_dropped.malformed", source.drop_malformed);
  AddIf(line, "pieces_unreadable", source.unreadable);
  AddIf(line, "calls_32bit", source.task32);
  AddIf(line, "calls_foreign_frame", source.foreign_frame);
  AddIf(line, "calls_many_iovecs", source.iovecs);
}

void AddLinks(std::string& line, const LinkCounters& l) {
  for (size_t i = 1; i < std::size(l.linked); ++i) {
    AddIf(line, absl::StrCat("links.", LinkRuleName(static_cast<LinkRule>(i))), l.linked[i]);
  }
  AddIf(line, "links_ambiguous", l.refused_ambiguous);
  AddIf(line, "links_unknown", l.refused_unknown);
  for (const auto& [reason, count] : l.refused) {
    AddIf(line, absl::StrCat("links_refused.", absl::StrReplaceAll(reason, {{" ", "_"}, {"=", "_"}})), count);
  }
  AddIf(line, "links_late", l.late);
  AddIf(line, "link_candidates.told", l.candidates);
  AddIf(line, "link_candidates.lost", l.candidates_lost);
  AddIf(line, "causes_decided", l.cause.decided);
  AddIf(line, "causes_overflow", l.cause.overflow);
  AddIf(line, "cause_timelines", l.cause.timelines);
  AddIf(line, "cause_searches_cut_short", l.cause.cut_short);
  AddIf(line, "cause_forgotten", l.cause.forgotten);
  AddIf(line, "cause_recalled", l.cause.recalled);
  AddIf(line, "adopted", l.adopted);
}

void AddPipeline(std::string& line, const ConnCounters& c, const LinkCounters& l) {
  Add(line, "connections", c.opened);
  AddIf(line, "connections_evicted", c.evicted);
  AddIf(line, "connections_opaque", c.opaque);
  Add(line, "exchanges", c.exchanges);
  AddIf(line, "exchanges_lost", c.exchanges_lost);
  AddIf(line, "gaps_lost", c.gaps_lost);
  AddIf(line, "messages_invalid", c.invalid);
  AddIf(line, "heads_truncated", c.head_truncated);
  AddIf(line, "pending_overflow", c.pending_overflow);
  AddIf(line, "unsampled", l.unsampled);
  AddIf(line, "own_export_skipped", l.own_export_skipped);
  AddLinks(line, l);
}

void AddHanded(std::string& line, const HandedCounters& handed) {
  Add(line, "handoff_matched", handed.matched);
  AddIf(line, "handoff_unmatched_spans", handed.unmatched_spans);
  AddIf(line, "handoff_unmatched_exchanges", handed.unmatched_exchanges);
  AddIf(line, "handoff_late", handed.late);
  AddIf(line, "handoff_overflow", handed.overflow);
}

void AddHandoff(std::string& line, const HandoffCounters& handoff) {
  Add(line, "handoff_producers", handoff.producers);
  Add(line, "handoff_attached", handoff.attached);
  Add(line, "handoff_spans", handoff.spans);
  AddIf(line, "handoff_not_joined", handoff.not_joined);
  AddIf(line, "handoff_refused", handoff.refused);
  AddIf(line, "handoff_quarantined", handoff.quarantined);
  AddIf(line, "handoff_dropped.full", handoff.dropped.full);
  AddIf(line, "handoff_dropped.too_large", handoff.dropped.too_large);
  AddIf(line, "handoff_dropped.no_agent", handoff.dropped.no_agent);
  AddIf(line, "handoff_dropped.invalid", handoff.dropped.invalid);
}

void AddMemory(std::string& line, const MemoryCounters& memory) {
  Add(line, "link_memory.loaded", memory.loaded);
  Add(line, "link_memory.saved", memory.saved);
  AddIf(line, "link_memory.rejected", memory.rejected);
  AddIf(line, "link_memory.write_errors", memory.write_errors);
}

}  // namespace

std::string LedgerLine(const RunStatus& status) {
  std::string line = absl::StrCat("ledger ", status.spans.Format());
  Add(line, "events_captured", status.events.source.captured);
  Add(line, "events_processed", status.events.processed);
  AddSource(line, status.events.source);
  if (status.events.pipeline) AddPipeline(line, status.events.connections, status.events.links);
  if (status.events.memory) AddMemory(line, *status.events.memory);
  if (!status.events.handoff) return line;
  AddHandoff(line, *status.events.handoff);
  if (status.events.pipeline) AddHanded(line, status.events.links.handed);
  return line;
}

// Made from the line, so that the two never differ in a name.
std::string LedgerJson(const RunStatus& status) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  const std::string line = LedgerLine(status);
  for (const absl::string_view field : absl::StrSplit(line, ' ')) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(field, absl::MaxSplits('=', 1));
    uint64_t value = 0;
    if (absl::SimpleAtoi(parts.second, &value)) json[std::string(parts.first)] = value;
  }
  return json.dump() + "\n";
}

}  // namespace spantap
