// SPDX-License-Identifier: Apache-2.0
#include "agent/run/pipeline.h"

#include <algorithm>
#include <utility>

#include "agent/spans/handed.h"
#include "agent/spans/process_text.h"

namespace spantap {

Pipeline::Pipeline(const PipelineSettings& settings, IdGenerator& ids, Ledger& ledger, SpanQueue* queue,
                   ConnTable::OrderFn order)
    : style_(settings.style),
      ledger_(ledger),
      queue_(queue),
      processes_(settings.resource_attributes),
      linker_(settings.links, ids, *this),
      connections_(settings.connections, linker_, std::move(order)) {}

Pipeline::~Pipeline() = default;

void Pipeline::SetView(std::unique_ptr<TraceView> view) { view_ = std::move(view); }

void Pipeline::SetTurns(TurnsFn turns) { turns_ = std::move(turns); }

void Pipeline::OnEvent(const EventView& event) {
  LearnProducers();  // before the events of a process that has begun to hand off
  switch (event.header->type) {
    case SPANTAP_EVENT_OPEN:
    case SPANTAP_EVENT_DATA:
    case SPANTAP_EVENT_END:
    case SPANTAP_EVENT_FORK:
    case SPANTAP_EVENT_EXEC:
    case SPANTAP_EVENT_EXIT:
      ++events_processed_;
      had_events_ = true;
      last_event_ns_ = std::max<uint64_t>(last_event_ns_, event.header->mono_ns);
      connections_.OnEvent(event);
      OnTask(*event.header);
      break;
    case SPANTAP_EVENT_PROCESS:
      processes_.OnProcess(event.As<spantap_process_event>(), event.record);
      causes().OnProgram(event.header->tgid, ProgramOf(event.As<spantap_process_event>(), event.record));
      inbox_.Observe(event.header->tgid);
      break;
    case SPANTAP_EVENT_CLOCK:
      wall_minus_mono_ns_ = event.As<spantap_clock_event>().wall_minus_mono_ns;
      break;
    case SPANTAP_EVENT_LOSS:  // the source's own counters already hold it
      break;
    default:
      ++events_unknown_;
  }
}

// What was learned about a process ends with its program; another may get its pid.
void Pipeline::OnTask(const spantap_event_header& header) {
  if (header.type == SPANTAP_EVENT_EXIT) {
    processes_.OnExit(header.tgid);
    inbox_.ObserveEnd(header.tgid, header.mono_ns);
  }
  if (header.type == SPANTAP_EVENT_EXIT || header.type == SPANTAP_EVENT_EXEC) linker_.OnProcessEnd(header.tgid);
}

void Pipeline::OnTime(uint64_t mono_ns) {
  // Housekeeping does not need the events' resolution: a tenth of the shortest waiting time will do.
  constexpr uint64_t kStepNs = 5'000'000;
  // A process may have begun to hand off after its last event: its exchanges are not to go before their spans come.
  LearnProducers();
  StageHanded(mono_ns);
  if (mono_ns < now_ns_ + kStepNs) return;
  now_ns_ = mono_ns;
  connections_.OnTime(mono_ns);
  linker_.OnTime(mono_ns);
  SendLone();
}

void Pipeline::LearnProducers() {
  if (inbox_.ProducersChanged()) linker_.OnProducers(inbox_.TakeProducers());
}

// Spans go to the linker when the events that were in the kernel's ring before they were handed off have been taken,
// so that a span finds its own exchange and no neighbour of it: at the end of a turn that brought none, or a later one.
void Pipeline::StageHanded(uint64_t mono_ns) {
  const bool caught_up = !std::exchange(had_events_, false) || last_event_ns_ >= staged_ns_;
  if (!caught_up && !staged_.empty()) return;
  GiveHanded();
  staged_ = inbox_.TakeSpans();
  staged_ns_ = mono_ns;
}

void Pipeline::GiveHanded() {
  for (auto& handed : staged_) {
    processes_.OnHanded(handed->tgid, handed->span.resource);
    linker_.OnSpan(std::move(handed));
  }
  staged_.clear();
}

void Pipeline::Finish() {
  connections_.FinishAll(now_ns_);
  GiveHanded();
  staged_ = inbox_.TakeSpans();
  GiveHanded();
  linker_.Flush();
  SendLone();
}

void Pipeline::OnTree(std::vector<LinkedExchange> tree) {
  if (view_ != nullptr) view_->Print(tree, wall_minus_mono_ns_);
  std::vector<Span> spans;
  uint64_t unsent = 0;
  for (LinkedExchange& linked : tree) {
    if (!linked.sampled && linked.handed == nullptr) continue;
    if (queue_ == nullptr) {
      ++unsent;
      continue;
    }
    if (linked.handed != nullptr) {
      spans.push_back(JoinSpan(linked));
      continue;
    }
    spans.push_back(BuildSpan(linked, style_, wall_minus_mono_ns_, processes_.ResourceOf(linked.exchange->tgid)));
  }
  if (unsent > 0) {
    ledger_.Created(unsent);
    ledger_.Dropped(DropReason::kNoExporter, unsent);
  }
  if (!spans.empty()) queue_->PushAll(std::move(spans));
}

void Pipeline::OnSpan(std::unique_ptr<HandedSpan> handed, const TraceId& trace_id) {
  if (queue_ == nullptr) {
    ledger_.Created();
    ledger_.Dropped(DropReason::kNoExporter, 1);
    return;
  }
  lone_.push_back(LoneSpan(*handed, trace_id));
}

void Pipeline::OnTurns(uint32_t tgid, bool needed) {
  if (turns_) turns_(tgid, needed);
}

void Pipeline::SendLone() {
  if (!lone_.empty()) queue_->PushAll(std::exchange(lone_, {}));
}

std::string Pipeline::ServiceName(uint32_t tgid) { return processes_.ResourceOf(tgid)->service_name; }
const ConnCounters& Pipeline::connections() const { return connections_.counters(); }
const LinkCounters& Pipeline::links() const { return linker_.counters(); }

}  // namespace spantap
