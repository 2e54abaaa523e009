// SPDX-License-Identifier: Apache-2.0
//
// Takes records out of one ring, whose memory a hostile producer may rewrite at any moment: head is loaded once a turn
// and bounded, a record's header once a record, the record is copied out, and only the copy is looked at. What the
// reader itself must know (its position, the size) it keeps to itself and never reads back.
//
// One thread. Memory: none of its own; the caller lends scratch memory for one record. Never waits, never spins: a turn
// takes at most what it is told.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "agent/handoff/handoff_counters.h"
#include "exporter/handoff/ring_layout.h"

namespace spantap {

// The producer's own drop counters, as far as they are believed: they never fall, and no turn adds more than kMaxStep.
class HandoffClaims {
 public:
  static constexpr uint64_t kMaxStep = 1'000'000'000;
  // What came since the last call; the producer sees that it was taken, and tells no other agent.
  HandoffDrops Advance(spantap_ring& ring);

 private:
  HandoffDrops seen_;
};

class RingReader {
 public:
  static constexpr size_t kMaxRecordBytes = 65536;

  // Both outlive the reader. `ring` is a fresh one.
  RingReader(spantap_ring* ring, uint64_t data_bytes) : ring_(ring), data_bytes_(data_bytes) {}

  // What a turn found. A ring that lied is not to be read again.
  struct Turn {
    uint64_t waiting = 0;  // bytes that lay in the ring when the turn began
    uint64_t left = 0;     // of these, after it
    bool lied = false;
  };
  // A record that was copied out; false: it is no span, the ring lies.
  using TakeFn = absl::FunctionRef<bool(absl::string_view record)>;
  Turn Take(size_t max_records, std::vector<char>& scratch, TakeFn take);

  void SetState(spantap_ring_state state) const;

 private:
  bool TakeOne(uint64_t available, std::vector<char>& scratch, TakeFn take);
  const char* data() const { return reinterpret_cast<const char*>(ring_) + SPANTAP_RING_HEADER_BYTES; }

  spantap_ring* const ring_;
  const uint64_t data_bytes_;
  uint64_t tail_ = 0;
};

}  // namespace spantap
