// SPDX-License-Identifier: Apache-2.0
//
// One producer's ring as its reader holds it: the memory, how far it has been read, what the producer claims to have
// dropped, and the resource of its spans.
//
// Base of the agent's Producer and of embedded mode's Source. One thread at a time. Memory: the ring's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "exporter/intake/handoff_drops.h"
#include "exporter/intake/record_to_span.h"
#include "exporter/intake/ring_memory.h"
#include "exporter/intake/ring_reader.h"
#include "exporter/model/handed_span.h"
#include "exporter/model/span.h"

namespace spantap {

class RingIntake {
 public:
  // At most `max_records` records as spans, appended; with their connections if those are asked for (not null).
  RingReader::Turn Take(size_t max_records, RecordDecoder& decoder, std::vector<char>& scratch,
                        std::vector<Span>* spans, std::vector<SpanConnection>* connections = nullptr);
  // What the producer says it dropped since the last call.
  HandoffDrops TakeClaims() { return claims_.Advance(*memory_.ring()); }
  // The producer is told that no span is to be written any more.
  void Close() const { reader_.SetState(SPANTAP_RING_CLOSED); }

  uint64_t data_bytes() const { return memory_.data_bytes(); }
  const Resource& resource() const { return *resource_; }

 protected:
  RingIntake(RingMemory memory, std::shared_ptr<const Resource> resource);
  ~RingIntake() = default;

 private:
  RingMemory memory_;
  RingReader reader_;
  HandoffClaims claims_;
  const std::shared_ptr<const Resource> resource_;
};

}  // namespace spantap
