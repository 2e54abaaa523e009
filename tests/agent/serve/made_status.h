// SPDX-License-Identifier: Apache-2.0
//
// A RunStatus in which every number differs, so that a value in the wrong place is seen.
#pragma once

#include "agent/serve/status.h"

namespace spantap {

inline ExporterStatus MadeExporterStatus() {
  ExporterStatus status;
  status.endpoints.push_back({"http://a:4318/v1/traces", "down", "connection refused", 701, 702});
  status.endpoints.push_back({"http://b:4318/v1/traces", "up", "", 711, 712});
  status.queued_spans = 721;
  status.queued_bytes = 722;
  status.request_bytes = 723;
  status.spool = Spool::Stats{};
  status.spool->batches = 731;
  status.spool->spans = 732;
  status.spool->bytes = 733;
  status.spool->segments = 734;
  status.spool->damaged_segments = 735;
  status.spool->damaged_bytes = 736;
  status.spool->append_errors = 737;
  return status;
}

inline LedgerSnapshot MadeSpans() {
  LedgerSnapshot spans;
  spans.created = 10'000'000'019;  // more than 32 bits, and no rounding to six digits
  spans.recovered = 19;
  spans.acknowledged = 9'000'000'000;
  spans.spooled = 17;
  for (size_t i = 0; i < spans.dropped.size(); ++i) spans.dropped[i] = 100 + i;
  spans.dropped[static_cast<size_t>(DropReason::kEncode)] = 0;
  return spans;
}

inline EventStatus MadeEvents() {
  EventStatus events;
  events.source = {201, 202, 203, 204, 205, 206, 207, 208, 209};
  events.processed = 211;
  events.unknown = 212;
  events.pipeline = true;
  events.connections = {301, 302, 303, 304, 305, 306, 307, 308, 309, 310, 311, 312, 313};
  events.links.linked[1] = 401;
  events.links.linked[4] = 404;
  events.links.roots = 411;
  events.links.refused_ambiguous = 412;
  events.links.refused_unknown = 413;
  events.links.adopted = 414;
  events.links.unsampled = 415;
  events.links.forced = 416;
  events.links.request_id_reused = 417;
  events.links.own_export_skipped = 418;
  events.links.late = 419;
  events.links.parts = 420;
  events.links.linked[static_cast<size_t>(LinkRule::kJoint)] = 423;
  events.links.candidates = 424;
  events.links.candidates_lost = 425;
  events.links.cause.decided = 426;
  events.links.cause.overflow = 427;
  events.links.cause.timelines = 428;
  events.links.cause.cut_short = 429;
  events.links.cause.forgotten = 430;
  events.links.cause.recalled = 431;
  events.memory = MemoryCounters{441, 442, 443, 444};
  events.links.refused = {{"several open", 421}, {"other \"reason\"\\", 422}};
  return events;
}

inline RunStatus MadeStatus() {
  RunStatus status;
  status.phase = Phase::kCapturing;
  status.spans = MadeSpans();
  status.events = MadeEvents();
  status.exporter = MadeExporterStatus();
  status.turn_age_s = 0.125;
  status.reloads = 3;
  return status;
}

}  // namespace spantap
