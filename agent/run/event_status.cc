// SPDX-License-Identifier: Apache-2.0
#include "agent/run/event_status.h"

namespace spantap {

EventStatus CollectEvents(const EventSource* source, const Pipeline* pipeline, const Recording* recording,
                          const Handoff* handoff, const LinkMemory* memory) {
  EventStatus events;
  if (source != nullptr) events.source = source->Counters();
  if (recording != nullptr) events.processed = recording->captured();
  if (pipeline != nullptr) {
    events.processed = pipeline->events_processed();
    events.unknown = pipeline->events_unknown();
    events.pipeline = true;
    events.connections = pipeline->connections();
    events.links = pipeline->links();
  }
  if (handoff != nullptr) events.handoff = handoff->counters();
  if (memory != nullptr) events.memory = memory->counters();
  return events;
}

}  // namespace spantap
