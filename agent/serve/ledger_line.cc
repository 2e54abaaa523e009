// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/ledger_line.h"

#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace spantap {
namespace {

using Field = std::pair<absl::string_view, uint64_t>;

void Add(std::string& line, absl::string_view name, uint64_t value) { absl::StrAppend(&line, " ", name, "=", value); }
// What is zero is left out.
void AddSeen(std::string& line, std::initializer_list<Field> fields) {
  for (const auto& [name, value] : fields) {
    if (value != 0) Add(line, name, value);
  }
}

void AddSource(std::string& line, const SourceCounters& source) {
  AddSeen(line, {{"events_dropped.ring_full", source.drop_ring_full},
                 {"events_dropped.conn_state", source.drop_conn_state},
                 {"events_dropped.malformed", source.drop_malformed},
                 {"pieces_unreadable", source.unreadable},
                 {"calls_32bit", source.task32},
                 {"calls_foreign_frame", source.foreign_frame},
                 {"calls_many_iovecs", source.iovecs}});
}

void AddLinks(std::string& line, const LinkCounters& l) {
  for (size_t i = 1; i < std::size(l.linked); ++i) {
    AddSeen(line, {{absl::StrCat("links.", LinkRuleName(static_cast<LinkRule>(i))), l.linked[i]}});
  }
  AddSeen(line, {{"links_ambiguous", l.refused_ambiguous}, {"links_unknown", l.refused_unknown}});
  for (const auto& [reason, count] : l.refused) {
    AddSeen(line, {{absl::StrCat("links_refused.", absl::StrReplaceAll(reason, {{" ", "_"}, {"=", "_"}})), count}});
  }
  AddSeen(line, {{"links_late", l.late},
                 {"link_candidates.told", l.candidates},
                 {"link_candidates.lost", l.candidates_lost},
                 {"causes_decided", l.cause.decided},
                 {"causes_overflow", l.cause.overflow},
                 {"cause_timelines", l.cause.timelines},
                 {"cause_searches_cut_short", l.cause.cut_short},
                 {"cause_forgotten", l.cause.forgotten},
                 {"cause_recalled", l.cause.recalled},
                 {"adopted", l.adopted}});
}

void AddPipeline(std::string& line, const ConnCounters& c, const LinkCounters& l) {
  Add(line, "connections", c.opened);
  AddSeen(line, {{"connections_evicted", c.evicted}, {"connections_opaque", c.opaque}});
  Add(line, "exchanges", c.exchanges);
  AddSeen(line, {{"exchanges_lost", c.exchanges_lost},
                 {"gaps_lost", c.gaps_lost},
                 {"messages_invalid", c.invalid},
                 {"heads_truncated", c.head_truncated},
                 {"pending_overflow", c.pending_overflow},
                 {"unsampled", l.unsampled},
                 {"own_export_skipped", l.own_export_skipped}});
  AddLinks(line, l);
}

void AddHanded(std::string& line, const HandedCounters& handed) {
  Add(line, "handoff_matched", handed.matched);
  AddSeen(line, {{"handoff_unmatched_spans", handed.unmatched_spans},
                 {"handoff_unmatched_exchanges", handed.unmatched_exchanges},
                 {"handoff_late", handed.late},
                 {"handoff_overflow", handed.overflow}});
}

void AddHandoff(std::string& line, const HandoffCounters& handoff) {
  Add(line, "handoff_producers", handoff.producers);
  Add(line, "handoff_attached", handoff.attached);
  Add(line, "handoff_spans", handoff.spans);
  AddSeen(line, {{"handoff_not_joined", handoff.not_joined},
                 {"handoff_refused", handoff.refused},
                 {"handoff_quarantined", handoff.quarantined},
                 {"handoff_dropped.full", handoff.dropped.full},
                 {"handoff_dropped.too_large", handoff.dropped.too_large},
                 {"handoff_dropped.no_agent", handoff.dropped.no_agent},
                 {"handoff_dropped.invalid", handoff.dropped.invalid}});
}

void AddMemory(std::string& line, const MemoryCounters& memory) {
  Add(line, "link_memory.loaded", memory.loaded);
  Add(line, "link_memory.saved", memory.saved);
  AddSeen(line, {{"link_memory.rejected", memory.rejected}, {"link_memory.write_errors", memory.write_errors}});
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
