// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/metrics.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/serve/health.h"
#include "agent/serve/metric_families.h"

namespace spantap {
namespace {

using Members = std::vector<MetricFamilies::Member>;

void AddSpans(MetricFamilies& out, const LedgerSnapshot& spans) {
  out.Counter("spans_created", "Spans that entered the ledger, recovered ones included.", spans.created);
  out.Counter("spans_recovered", "Spans found in the spool at the start.", spans.recovered);
  out.Counter("spans_acknowledged", "Spans that a collector accepted.", spans.acknowledged);
  Members dropped;
  for (size_t i = 0; i < spans.dropped.size(); ++i) {
    dropped.emplace_back(std::string(DropReasonName(static_cast<DropReason>(i))),
                         static_cast<double>(spans.dropped[i]));
  }
  out.Counter("spans_dropped", "Spans given up, by reason.", "reason", dropped);
  out.Gauge("spans_in_flight", "Spans queued, being sent or waiting for a retry.",
            static_cast<double>(spans.in_flight()));
  out.Gauge("spans_spooled", "Spans on disk, not acknowledged yet.", static_cast<double>(spans.spooled));
}

void AddEvents(MetricFamilies& out, const EventStatus& events) {
  const SourceCounters& source = events.source;
  out.Counter("events_captured", "Records that the kernel programs wanted to pass on.", source.captured);
  out.Counter("events_processed", "Records that the agent took.", events.processed);
  out.Counter("events_dropped", "Records lost before the agent, by reason.", "reason",
              {{"ring_full", source.drop_ring_full},
               {"conn_state", source.drop_conn_state},
               {"malformed", source.drop_malformed}});
  out.Counter("events_unknown", "Records of a type that this version does not know.", events.unknown);
  out.Counter("pieces_unreadable", "Pieces of data that the kernel could not read: gaps.", source.unreadable);
  out.Counter("calls_32bit", "Calls of 32-bit tasks, not traced.", source.task32);
  out.Counter("calls_foreign_frame", "Calls whose registers could not be read: gaps.", source.foreign_frame);
  out.Counter("calls_many_iovecs", "Calls with more buffers than are copied: gaps.", source.iovecs);
}

void AddConnections(MetricFamilies& out, const ConnCounters& c) {
  out.Counter("connections", "Connections seen.", c.opened);
  out.Counter("connections_closed", "Connections forgotten, by cause.", "cause",
              {{"closed", c.closed}, {"evicted", c.evicted}, {"idle", c.idle}});
  out.Counter("connections_opaque", "Connections that carry nothing that can be read.", c.opaque);
  out.Counter("exchanges", "Requests reported.", c.exchanges);
  out.Counter("exchanges_lost", "Exchanges given up because a gap made the pairing unsure.", c.exchanges_lost);
  out.Counter("gaps_lost", "Gaps that cost at least one message.", c.gaps_lost);
  out.Counter("heads_truncated", "Heads over the capture limit.", c.head_truncated);
  out.Counter("messages_invalid", "Bytes that are no legal message; resumed at a later head.", c.invalid);
  out.Counter("duplicate_bytes", "Bytes seen twice, ignored.", c.duplicate_bytes);
  out.Counter("pending_overflow", "Requests over the limit of open ones of a connection.", c.pending_overflow);
}

void AddLinks(MetricFamilies& out, const LinkCounters& l) {
  Members linked;
  for (size_t i = 1; i < std::size(l.linked); ++i) {
    const absl::string_view rule = LinkRuleName(static_cast<LinkRule>(i));
    linked.emplace_back(std::string(rule), static_cast<double>(l.linked[i]));
  }
  out.Counter("links", "Exchanges linked to a parent, by rule.", "rule", linked);
  out.Counter("links_ambiguous", "Exchanges left roots: no candidate was sure enough.", l.refused_ambiguous);
  out.Counter("links_unknown", "Exchanges left roots: no candidate.", l.refused_unknown);
  Members refused;
  for (const auto& [reason, count] : l.refused) refused.emplace_back(std::string(reason), static_cast<double>(count));
  if (!refused.empty()) out.Counter("links_refused", "Links not drawn, by reason.", "reason", refused);
  out.Counter("links_late", "Links found after the ids of one side were delivered: not drawn.", l.late);
  out.Counter("link_candidates", "Roots with an unsure parent, as span links (--link-candidates), by outcome.",
              "outcome", {{"told", l.candidates}, {"lost", l.candidates_lost}});
  out.Counter("roots", "Exchanges without a known parent.", l.roots);
  out.Counter("adopted", "Trees that took over their parent's trace id.", l.adopted);
  out.Counter("unsampled", "Exchanges that sampling left out.", l.unsampled);
  out.Counter("trees_forced", "Trees delivered early because too many exchanges were held.", l.forced);
  out.Counter("tree_parts", "Pieces of trees delivered before their last.", l.parts);
  out.Counter("request_id_reused", "Request ids on too many roots to be ids.", l.request_id_reused);
  out.Counter("own_export_skipped", "Export requests of observed processes, never spans.", l.own_export_skipped);
}

void AddCauses(MetricFamilies& out, const CauseCounters& cause) {
  out.Counter("causes_decided", "Requests without a certain cause that were decided, however sure.", cause.decided);
  out.Counter("causes_overflow", "Requests whose cause was given up because a bound was reached.", cause.overflow);
  out.Counter("cause_timelines", "Possible timelines of handlers that were looked at.", cause.timelines);
  out.Counter("cause_searches_cut_short", "Searches for timelines that reached their bound.", cause.cut_short);
  out.Counter("cause_forgotten", "Processes and routes whose handlers were forgotten for want of room.",
              cause.forgotten);
  out.Counter("cause_recalled", "Processes that began with what an earlier one of their program had learned.",
              cause.recalled);
}

void AddMemory(MetricFamilies& out, const MemoryCounters& memory) {
  out.Gauge("link_memory_programs", "Programs in the file of --link-memory, when it was last read or written.", "when",
            {{"loaded", static_cast<double>(memory.loaded)}, {"saved", static_cast<double>(memory.saved)}});
  out.Counter("link_memory_rejected", "Files of --link-memory that were no good and ignored.", memory.rejected);
  out.Counter("link_memory_write_errors", "Files of --link-memory that could not be written.", memory.write_errors);
}

void AddHanded(MetricFamilies& out, const HandedCounters& handed) {
  out.Counter("handoff_matched", "Spans of observed processes joined with their exchange.", handed.matched);
  out.Counter("handoff_unmatched_spans", "Spans of observed processes whose exchange was not found in time.",
              handed.unmatched_spans);
  out.Counter("handoff_unmatched_exchanges", "Exchanges of processes that hand off for which no span came in time.",
              handed.unmatched_exchanges);
  out.Counter("handoff_late", "Spans that came after their exchange had been exported: not exported again.",
              handed.late);
  out.Counter("handoff_overflow", "Unmatched spans for which there was no room to wait.", handed.overflow);
}

void AddHandoff(MetricFamilies& out, const HandoffCounters& handoff) {
  out.Gauge("handoff_producers", "Producers attached by --socket.", static_cast<double>(handoff.producers));
  out.Counter("handoff_attached", "Rings given to producers.", handoff.attached);
  out.Counter("handoff_spans", "Spans taken from rings.", handoff.spans);
  out.Counter("handoff_not_joined", "Spans of observed processes that came too fast to be joined.", handoff.not_joined);
  out.Counter("handoff_refused", "Connections to a hand-off socket that got no ring.", handoff.refused);
  out.Counter("handoff_quarantined", "Producers sent away because their ring was not what it has to be.",
              handoff.quarantined);
  const HandoffDrops& dropped = handoff.dropped;
  out.Counter("handoff_dropped", "Spans that producers say they dropped before the ring, by reason.", "reason",
              {{"full", dropped.full},
               {"too_large", dropped.too_large},
               {"no_agent", dropped.no_agent},
               {"invalid", dropped.invalid}});
}

// Two endpoints may have the same name (they differ in what is secret); series must not.
std::vector<std::string> EndpointNames(const ExporterStatus& exporter) {
  std::vector<std::string> names;
  for (const ExporterStatus::Endpoint& endpoint : exporter.endpoints) {
    std::string name = endpoint.name;
    for (int i = 2; std::find(names.begin(), names.end(), name) != names.end(); ++i) {
      name = absl::StrCat(endpoint.name, "#", i);
    }
    names.push_back(std::move(name));
  }
  return names;
}

void AddEndpoints(MetricFamilies& out, const ExporterStatus& exporter) {
  const std::vector<std::string> names = EndpointNames(exporter);
  Members requests, failures, up;
  for (size_t i = 0; i < names.size(); ++i) {
    const ExporterStatus::Endpoint& endpoint = exporter.endpoints[i];
    requests.emplace_back(names[i], static_cast<double>(endpoint.requests));
    failures.emplace_back(names[i], static_cast<double>(endpoint.failures));
    up.emplace_back(names[i], endpoint.state == "up" ? 1 : 0);
  }
  out.Counter("exporter_requests", "Requests sent, retries included, by endpoint.", "endpoint", requests);
  out.Counter("exporter_request_failures", "Requests that failed, by endpoint.", "endpoint", failures);
  out.Gauge("exporter_up", "1 if the last request to the endpoint was accepted.", "endpoint", up);
}

void AddSpool(MetricFamilies& out, const Spool::Stats& spool) {
  out.Gauge("spool_batches", "Batches on disk.", static_cast<double>(spool.batches));
  out.Gauge("spool_spans", "Spans on disk.", static_cast<double>(spool.spans));
  out.Gauge("spool_bytes", "Size of the spool on disk.", static_cast<double>(spool.bytes));
  out.Gauge("spool_segments", "Segments on disk.", static_cast<double>(spool.segments));
  out.Counter("spool_damaged_segments", "Segments moved aside.", spool.damaged_segments);
  out.Counter("spool_damaged_bytes", "Bytes in segments that could not be read.", spool.damaged_bytes);
  out.Counter("spool_append_errors", "Batches that the disk did not take.", spool.append_errors);
}

void AddExporter(MetricFamilies& out, const ExporterStatus& exporter) {
  AddEndpoints(out, exporter);
  out.Counter("exporter_request_bytes", "Encoded bytes acknowledged, before compression.", exporter.request_bytes);
  out.Gauge("queue_spans", "Spans in the memory queue.", static_cast<double>(exporter.queued_spans));
  out.Gauge("queue_bytes", "Bytes in the memory queue.", static_cast<double>(exporter.queued_bytes));
  if (exporter.spool) AddSpool(out, *exporter.spool);
}

void AddAgent(MetricFamilies& out, const RunStatus& status, const ProcessStats& process,
              const HttpServer::Stats& server) {
  using prometheus::MetricType;
  out.Gauge("build_info", "1; the version is in the label.", "version", {{SPANTAP_VERSION, 1}});
  out.Gauge("ready", "1 if /readyz says so.", Readiness(status).good ? 1 : 0);
  out.Gauge("event_thread_turn_age_seconds", "Time since the event thread last turned.", status.turn_age_s);
  out.Counter("reloads", "Runs before this one.", status.reloads);
  out.Counter("listener_requests", "Requests answered on this port.", server.requests);
  out.Counter("listener_refused", "Connections to this port ended without an answer, by reason.", "reason",
              {{"evicted", server.evicted}, {"timeout", server.timed_out}, {"gone", server.gone}});
  out.Standard("process_start_time_seconds", "Start of the process, Unix time.", MetricType::Gauge,
               process.start_time_s);
  out.Standard("process_cpu_seconds_total", "User and system time of the process.", MetricType::Counter, process.cpu_s);
  out.Standard("process_resident_memory_bytes", "Resident memory of the process.", MetricType::Gauge,
               static_cast<double>(process.resident_bytes));
  out.Standard("process_threads", "Threads of the process.", MetricType::Gauge, static_cast<double>(process.threads));
  out.Standard("process_open_fds", "Open file descriptors.", MetricType::Gauge, static_cast<double>(process.open_fds));
}

}  // namespace

std::string MetricsText(const RunStatus& status, const ProcessStats& process, const HttpServer::Stats& server) {
  MetricFamilies out;
  AddSpans(out, status.spans);
  AddEvents(out, status.events);
  if (status.events.pipeline) {
    AddConnections(out, status.events.connections);
    AddLinks(out, status.events.links);
    AddCauses(out, status.events.links.cause);
  }
  if (status.events.memory) AddMemory(out, *status.events.memory);
  if (status.events.handoff) {
    AddHandoff(out, *status.events.handoff);
    if (status.events.pipeline) AddHanded(out, status.events.links.handed);
  }
  if (status.exporter) AddExporter(out, *status.exporter);
  AddAgent(out, status, process, server);
  return out.Text();
}

}  // namespace spantap
