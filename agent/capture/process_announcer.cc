// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/process_announcer.h"

#include <cstring>

#include "include/base/clock.h"

namespace spantap {
namespace {

// A resource attribute value longer than this is no use to anybody; the environment of a process is
// its own to fill, so it is bounded here.
constexpr size_t kMaxTextBytes = 16384;

absl::string_view Bounded(const std::string& text) {
  // A NUL would end the field early in text[].
  const absl::string_view view = absl::string_view(text).substr(0, kMaxTextBytes);
  return view.substr(0, view.find('\0'));
}

std::string MakeRecord(const ProcessFacts& facts, const std::string& configured) {
  const std::string& name = configured.empty() ? facts.otel_service_name : configured;
  std::string text;
  for (const std::string* field : {&facts.exe, &name, &facts.otel_resource_attributes}) {
    const absl::string_view bounded = Bounded(*field);
    text.append(bounded.data(), bounded.size());
    text.push_back('\0');
  }
  spantap_process_event event = {};
  event.header.size = static_cast<uint32_t>(sizeof(event) + text.size());
  event.header.type = SPANTAP_EVENT_PROCESS;
  event.header.mono_ns = MonoNs();
  event.header.tgid = facts.tgid;
  event.start_mono_ns = facts.start_mono_ns;
  event.listen_port = facts.listen_port;
  event.flags = name.empty() ? 0 : SPANTAP_PROCESS_NAMED;
  event.text_bytes = static_cast<uint32_t>(text.size());
  std::string record(reinterpret_cast<const char*>(&event), sizeof(event));
  record += text;
  return record;
}

}  // namespace

void ProcessAnnouncer::Before(const EventView& event, EventSink& sink) {
  const spantap_event_header& header = *event.header;
  if (header.type == SPANTAP_EVENT_EXIT) {
    known_.erase(header.tgid);
    return;
  }
  if (known_.size() >= kMaxProcesses) known_.clear();
  Known& known = known_[header.tgid];
  if (header.type == SPANTAP_EVENT_EXEC) {
    const auto& task = event.As<spantap_task_event>();
    known.comm.assign(reinterpret_cast<const char*>(task.comm),
                      strnlen(reinterpret_cast<const char*>(task.comm), sizeof(task.comm)));
    known.announced = known.listens = false;
    return;
  }
  if (header.type == SPANTAP_EVENT_FORK) {
    known_[event.As<spantap_task_event>().other_tgid] = Known{.comm = known_[header.tgid].comm};
    return;
  }
  // A server that connected somewhere before it listened gets its port with its first client.
  const bool accepted =
      header.type == SPANTAP_EVENT_OPEN && event.As<spantap_open_event>().role == SPANTAP_ROLE_ACCEPTED;
  if (!known.announced || (accepted && !known.listens)) Announce(header.tgid, known, sink);
}

void ProcessAnnouncer::Announce(uint32_t tgid, Known& known, EventSink& sink) {
  absl::StatusOr<ProcessFacts> facts = ReadProcess(tgid);
  if (!facts.ok()) {
    facts = ProcessFacts{};
    facts->tgid = tgid;
  }
  if (facts->comm.empty()) facts->comm = known.comm;
  if (facts->exe.empty()) facts->exe = facts->comm;
  // Asked once only, even of a process that serves a descriptor it was handed and so lists no port.
  known.listens = facts->listen_port != 0 || known.announced;
  known.announced = true;
  const std::string record = MakeRecord(*facts, targets_.ConfiguredName(*facts));
  sink.OnEvent({reinterpret_cast<const spantap_event_header*>(record.data()), record});
}

}  // namespace spantap
