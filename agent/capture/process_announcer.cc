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

std::string MakeRecord(uint32_t tgid, const ProcessFacts& facts, const std::string& configured) {
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
  event.header.tgid = tgid;
  event.start_mono_ns = facts.start_mono_ns;
  event.listen_port = facts.listen_port;
  event.flags = name.empty() ? 0 : SPANTAP_PROCESS_NAMED;
  event.text_bytes = static_cast<uint32_t>(text.size());
  std::string record(reinterpret_cast<const char*>(&event), sizeof(event));
  record += text;
  return record;
}

}  // namespace

ProcessAnnouncer::Facts ProcessAnnouncer::Read(uint32_t tgid) {
  absl::StatusOr<ProcessFacts> facts = ReadProcess(tgid);
  if (!facts.ok() || facts->exe.empty()) return nullptr;
  return std::make_shared<const ProcessFacts>(*std::move(facts));
}

void ProcessAnnouncer::Prime(uint32_t tgid) { known_[tgid].facts = Read(tgid); }

void ProcessAnnouncer::OnFork(uint32_t parent, uint32_t child) {
  Known& known = known_[parent];
  if (known.facts == nullptr) known.facts = Read(parent);
  known_[child] = Known{.facts = known_[parent].facts};
}

void ProcessAnnouncer::OnExec(const spantap_task_event& task) {
  ProcessFacts facts;
  facts.tgid = task.header.tgid;
  const char* comm = reinterpret_cast<const char*>(task.comm);
  facts.comm.assign(comm, strnlen(comm, sizeof(task.comm)));
  facts.exe = facts.comm;
  known_[task.header.tgid] = Known{.facts = std::make_shared<const ProcessFacts>(std::move(facts))};
}

void ProcessAnnouncer::Before(const EventView& event, EventSink& sink) {
  const spantap_event_header& header = *event.header;
  if (known_.size() >= kMaxProcesses) Forget();
  switch (header.type) {
    case SPANTAP_EVENT_EXIT:
      // Kept: the END records of its connections follow.
      known_[header.tgid].exited = true;
      return;
    case SPANTAP_EVENT_EXEC:
      return OnExec(event.As<spantap_task_event>());
    case SPANTAP_EVENT_FORK:
      return OnFork(header.tgid, event.As<spantap_task_event>().other_tgid);
  }
  const Known& known = known_[header.tgid];
  // A server that connected somewhere before it listened gets its port with its first client.
  const bool accepted =
      header.type == SPANTAP_EVENT_OPEN && event.As<spantap_open_event>().role == SPANTAP_ROLE_ACCEPTED;
  if (!known.announced || (accepted && !known.listens)) Announce(header.tgid, sink);
}

void ProcessAnnouncer::Forget() {
  absl::erase_if(known_, [](const auto& entry) { return entry.second.exited; });
  if (known_.size() >= kMaxProcesses) known_.clear();
}

void ProcessAnnouncer::Announce(uint32_t tgid, EventSink& sink) {
  Known& known = known_[tgid];
  if (Facts fresh = Read(tgid)) {
    // An exiting process loses its descriptors while we look: what it was forked with still holds.
    const bool lost_port = fresh->listen_port == 0 && known.facts != nullptr && known.facts->exe == fresh->exe;
    if (!lost_port || known.facts->listen_port == 0) known.facts = std::move(fresh);
  }
  if (known.facts == nullptr) known.facts = std::make_shared<const ProcessFacts>();
  // Looked for twice at most, even in a process that serves a descriptor it was handed.
  known.listens = known.facts->listen_port != 0 || known.announced;
  known.announced = true;
  const std::string record = MakeRecord(tgid, *known.facts, targets_.ConfiguredName(tgid, *known.facts));
  sink.OnEvent({reinterpret_cast<const spantap_event_header*>(record.data()), record});
}

}  // namespace spantap
