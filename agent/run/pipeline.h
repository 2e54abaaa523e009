// SPDX-License-Identifier: Apache-2.0
//
// The pipeline: one EventSource's events -> connections -> exchanges -> links -> spans, view, queue.
// The same object for live capture and replay.
//
// Event thread only; never blocks (the queue drops and counts when full). Needs no privileges.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "agent/capture/event_source.h"
#include "agent/connections/conn_table.h"
#include "agent/handoff/handed_inbox.h"
#include "agent/link/linker.h"
#include "agent/spans/process_table.h"
#include "agent/spans/span_builder.h"
#include "agent/view/trace_view.h"
#include "exporter/send/span_queue.h"

namespace spantap {

struct PipelineSettings {
  ConnSettings connections;
  LinkSettings links;
  SpanStyle style;
  ResourceAttributes resource_attributes;  // of every process; what is found out about it wins
};

class Pipeline final : public EventSink, private LinkedSink {
 public:
  // `queue` may be null (nothing is exported: spans are created and dropped as not_exported);
  // `view` may be null.
  Pipeline(const PipelineSettings& settings, IdGenerator& ids, Ledger& ledger, SpanQueue* queue,
           ConnTable::OrderFn order);
  ~Pipeline() override;
  void SetView(std::unique_ptr<TraceView> view);
  // Called when it becomes known whether a process's links need the counters of its threads.
  using TurnsFn = std::function<void(uint32_t tgid, bool on)>;
  void SetTurns(TurnsFn turns);
  // Where the hand-off lays down the spans of observed processes.
  HandedInbox& inbox() { return inbox_; }
  // What is learned and remembered of programs.
  CauseFinder& causes() { return linker_.causes(); }

  void OnEvent(const EventView& event) override;
  void OnTime(uint64_t mono_ns) override;
  // No event will come again: finish every exchange and deliver everything.
  void Finish();

  std::string ServiceName(uint32_t tgid);
  const ConnCounters& connections() const;
  const LinkCounters& links() const;
  uint64_t events_processed() const { return events_processed_; }
  uint64_t events_unknown() const { return events_unknown_; }  // types this version does not know

 private:
  void OnTree(std::vector<LinkedExchange> tree) override;
  void OnSpan(std::unique_ptr<HandedSpan> handed, const TraceId& trace_id) override;
  void OnTurns(uint32_t tgid, bool needed) override;
  void LearnProducers();
  void StageHanded(uint64_t mono_ns);
  void GiveHanded();
  void SendLone();
  void OnTask(const spantap_event_header& header);

  SpanStyle style_;
  Ledger& ledger_;
  SpanQueue* queue_;
  ProcessTable processes_;
  std::unique_ptr<TraceView> view_;
  TurnsFn turns_;
  uint64_t wall_minus_mono_ns_ = 0;
  uint64_t now_ns_ = 0;
  uint64_t events_processed_ = 0;
  uint64_t events_unknown_ = 0;
  HandedInbox inbox_;
  // Taken from the inbox at `staged_ns_`, not given to the linker yet: the events of their exchanges come first.
  std::vector<std::unique_ptr<HandedSpan>> staged_;
  uint64_t staged_ns_ = 0;
  uint64_t last_event_ns_ = 0;
  bool had_events_ = false;  // in this turn
  std::vector<Span> lone_;
  Linker linker_;
  ConnTable connections_;
};

}  // namespace spantap
