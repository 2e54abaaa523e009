// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/bpf_source.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/capture/bpf_programs.h"
#include "agent/capture/process_announcer.h"
#include "agent/capture/record_check.h"
#include "agent/capture/target_set.h"
#include "include/base/clock.h"
#include "include/base/status_macros.h"

namespace spantap {
namespace {

// Records per Poll(): some milliseconds of work, so that timers and signals are seen.
constexpr int kMaxRecordsPerPoll = 4096;
// The reader's rest between two rounds: short under load, so that records are taken in batches and not
// one by one; doubled with every empty round, so that an idle node costs ten wake-ups a second.
constexpr int kBusyRestMs = 1;
constexpr int kIdleRestMs = 100;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kLookNs = 100'000'000;

void RestMs(int milliseconds) {
  const timespec rest = {0, milliseconds * 1'000'000L};
  (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, nullptr);
}

absl::Status CheckSettings(const BpfSettings& settings) {
  const uint32_t bytes = settings.ring_bytes;
  if (bytes < 4096 || (bytes & (bytes - 1)) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("ring buffer of ", bytes, " bytes: give a power of two of at least 4096"));
  }
  if (settings.head_bytes == 0 || settings.head_bytes > 64 * 1024) {
    return absl::InvalidArgumentError(absl::StrCat("head capture of ", settings.head_bytes, " bytes: give 1 to 65536"));
  }
  return absl::OkStatus();
}

}  // namespace

struct BpfSource::State {
  explicit State(TargetSet checked) : targets(std::move(checked)), announcer(targets) {}

  TargetSet targets;
  ProcessAnnouncer announcer;
  std::unique_ptr<BpfPrograms> programs;
  EventSink* sink = nullptr;  // valid during Poll()
  uint64_t delivered = 0;
  uint64_t malformed = 0;
  uint64_t next_clock_ns = 0;
  uint64_t next_look_ns = 0;  // for whether there are targets
  bool task_seen = false;     // a process came or went: look now
  int rest_ms = 0;
  bool stopped = false;
  bool final_loss_written = false;

  void OnRecord(const void* record, size_t size);
  void Deliver(const EventView& event);
  absl::Status LookForTargets();
  void WriteClock();
  void WriteLoss();
  void Rest(int timeout_ms) const;
};

void BpfSource::State::OnRecord(const void* record, size_t size) {
  // The kernel side reserves by size class: the header says how much of it is meant.
  const auto* header = static_cast<const spantap_event_header*>(record);
  const absl::string_view meant(static_cast<const char*>(record), std::min<size_t>(size, header->size));
  if (CheckRecord(meant) != RecordVerdict::kGood) {
    ++malformed;
    return;
  }
  Deliver({header, meant});
}

void BpfSource::State::Deliver(const EventView& event) {
  announcer.Before(event, *sink);
  if (event.header->type == SPANTAP_EVENT_FORK) {
    targets.OnFork(event.header->tgid, event.As<spantap_task_event>().other_tgid);
  } else if (event.header->type == SPANTAP_EVENT_EXIT) {
    targets.OnExit(event.header->tgid);
  }
  task_seen |= event.header->type >= SPANTAP_EVENT_FORK && event.header->type <= SPANTAP_EVENT_EXIT;
  ++delivered;
  sink->OnEvent(event);
}

// The data hooks cost every process of the machine something, so they wait for the first target. FORK,
// EXEC and EXIT records tell at once; a process that begins to listen on a target port is found by looking.
absl::Status BpfSource::State::LookForTargets() {
  const uint64_t now_ns = MonoNs();
  if (stopped || (!task_seen && now_ns < next_look_ns)) return absl::OkStatus();
  task_seen = false;
  next_look_ns = now_ns + kLookNs;
  return programs->AttachAsNeeded();
}

void BpfSource::State::WriteClock() {
  spantap_clock_event event = {};
  event.header.size = sizeof(event);
  event.header.type = SPANTAP_EVENT_CLOCK;
  event.header.mono_ns = MonoNs();
  event.wall_minus_mono_ns = WallMinusMonoNs();
  sink->OnEvent({&event.header, absl::string_view(reinterpret_cast<const char*>(&event), sizeof(event))});
}

void BpfSource::State::WriteLoss() {
  spantap_loss_event event = {};
  event.header.size = sizeof(event);
  event.header.type = SPANTAP_EVENT_LOSS;
  event.header.mono_ns = MonoNs();
  const auto counters = programs->ReadCounters();
  std::copy(counters.begin(), counters.end(), event.counters);
  sink->OnEvent({&event.header, absl::string_view(reinterpret_cast<const char*>(&event), sizeof(event))});
}

void BpfSource::State::Rest(int timeout_ms) const {
  const int rest = std::min(rest_ms, timeout_ms);
  if (rest <= 0 || stopped) return;
  // After records came, the ring is seldom empty and poll() would not sleep: a plain millisecond.
  if (rest <= kBusyRestMs) {
    RestMs(rest);
  } else {
    programs->Sleep(rest);
  }
}

BpfSource::BpfSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
BpfSource::~BpfSource() = default;

absl::StatusOr<std::unique_ptr<BpfSource>> BpfSource::Open(const BpfSettings& settings, const TargetSpec& targets) {
  if (targets.empty()) return absl::InvalidArgumentError("no target: give --pid, --exe, --port or --cgroup");
  SPANTAP_RETURN_IF_ERROR(CheckSettings(settings));
  SPANTAP_ASSIGN_OR_RETURN(TargetSet checked, TargetSet::Check(targets));
  auto state = std::make_unique<State>(std::move(checked));
  SPANTAP_ASSIGN_OR_RETURN(state->programs, BpfPrograms::Load(settings, state->targets.kernel()));
  SPANTAP_ASSIGN_OR_RETURN(const std::vector<uint32_t> running, state->targets.AddRunning(*state->programs));
  SPANTAP_RETURN_IF_ERROR(state->LookForTargets());
  for (const uint32_t tgid : running) state->announcer.Prime(tgid);
  return std::unique_ptr<BpfSource>(new BpfSource(std::move(state)));
}

absl::StatusOr<int> BpfSource::Poll(EventSink& sink, int timeout_ms) {
  State& state = *state_;
  state.sink = &sink;
  if (MonoNs() >= state.next_clock_ns) {
    state.WriteClock();
    if (state.next_clock_ns != 0) state.WriteLoss();
    state.next_clock_ns = MonoNs() + kSecondNs;
  }
  state.Rest(timeout_ms);
  const int taken = state.programs->Consume(
      kMaxRecordsPerPoll, [&state](const void* record, size_t size) { state.OnRecord(record, size); });
  if (taken == kMaxRecordsPerPoll) {
    state.rest_ms = 0;
  } else {
    state.rest_ms = taken > 0 ? kBusyRestMs : std::clamp(state.rest_ms * 2, kBusyRestMs, kIdleRestMs);
  }
  SPANTAP_RETURN_IF_ERROR(state.LookForTargets());
  int events = taken;
  if (state.stopped && taken == 0 && !state.final_loss_written) {
    state.WriteLoss();
    state.final_loss_written = true;
    ++events;
  }
  sink.OnTime(MonoNs());
  state.sink = nullptr;
  return events;
}

bool BpfSource::Finished() const { return state_->targets.Exhausted(); }

void BpfSource::Order(uint64_t conn_id, const spantap_order& order) { state_->programs->SetOrder(conn_id, order); }

bool BpfSource::counts_turns() const { return state_->programs->target_flags() & SPANTAP_TARGET_TURNS; }

void BpfSource::CountTurns(uint32_t tgid, bool on) { state_->programs->CountTurns(tgid, on); }

SourceCounters BpfSource::Counters() const {
  const auto kernel = state_->programs->ReadCounters();
  SourceCounters counters;
  counters.captured = kernel[SPANTAP_COUNT_CAPTURED];
  counters.delivered = state_->delivered;
  counters.drop_ring_full = kernel[SPANTAP_COUNT_DROP_RING_FULL];
  counters.drop_conn_state = kernel[SPANTAP_COUNT_DROP_CONN_STATE];
  counters.drop_malformed = state_->malformed;
  counters.unreadable = kernel[SPANTAP_COUNT_UNREADABLE];
  counters.task32 = kernel[SPANTAP_COUNT_TASK32];
  counters.foreign_frame = kernel[SPANTAP_COUNT_FOREIGN_FRAME];
  counters.iovecs = kernel[SPANTAP_COUNT_IOVECS];
  return counters;
}

void BpfSource::StopCapture() {
  if (std::exchange(state_->stopped, true)) return;
  state_->programs->Detach();
}

}  // namespace spantap
