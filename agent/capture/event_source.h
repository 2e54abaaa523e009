// SPDX-License-Identifier: Apache-2.0
//
// Where events come from: the running kernel (BpfSource) or a record file (ReplaySource). Everything
// behind this interface runs without privileges and cannot tell the two apart; everything that needs
// privileges (loading, attaching, the target map, /proc of other processes) stands behind it.
//
// Used by Pipeline. One thread (the event thread) calls everything here.
// Memory: an event is a view into the source's buffer, valid only during OnEvent().
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bpf/events.h"

namespace spantap {

// One record of the contract. `record` covers exactly header->size bytes. The source has checked that
// the size is at least that of the type's fixed struct and that copied_bytes / text_bytes lie inside;
// anything else is dropped by the source under "malformed".
struct EventView {
  const spantap_event_header* header = nullptr;
  absl::string_view record;

  template <typename T>
  const T& As() const {
    return *reinterpret_cast<const T*>(header);
  }
};

class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void OnEvent(const EventView& event) = 0;
  // Monotonic time has reached `mono_ns`; drives every timeout behind the source. Live: the clock,
  // after each batch. Replay: the time of the events themselves, so that a replay is deterministic.
  virtual void OnTime(uint64_t mono_ns) = 0;
};

// What the source lost before OnEvent(). delivered + sum of drops = captured, once drained.
struct SourceCounters {
  uint64_t captured = 0;         // records that the kernel programs wanted to emit
  uint64_t delivered = 0;        // of these, passed to OnEvent()
  uint64_t drop_ring_full = 0;   // no room in the ring buffer
  uint64_t drop_conn_state = 0;  // no memory for a connection's kernel-side state
  uint64_t drop_malformed = 0;   // contradicts the contract (record files only, in practice)
  // Conditions, not drops; see enum spantap_counter.
  uint64_t unreadable = 0;
  uint64_t task32 = 0;
  uint64_t foreign_frame = 0;
  uint64_t iovecs = 0;
};

class EventSource {
 public:
  virtual ~EventSource() = default;
  // Delivers what is there (bounded per call), waiting at most `timeout_ms` for the first event.
  // Returns the number of events delivered; an error ends the run.
  [[nodiscard]] virtual absl::StatusOr<int> Poll(EventSink& sink, int timeout_ms) = 0;
  // True when no event will ever come again (end of a record file).
  virtual bool Finished() const = 0;
  // Tells the kernel which bytes of a connection need not be copied. Best effort, never fails;
  // a no-op for a replay. Cost: one map update, so call it per large body, not per message.
  virtual void Order(uint64_t conn_id, const spantap_order& order) = 0;
  // Whether a process's heads are to carry counters; from the start they do, if BpfSettings::turns. As above.
  virtual void CountTurns(uint32_t tgid, bool on) {}
  virtual SourceCounters Counters() const = 0;
  // Stops capturing: detaches everything; what is already in the ring can still be polled.
  virtual void StopCapture() = 0;
};

}  // namespace spantap
