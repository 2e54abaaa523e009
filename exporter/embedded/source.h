// SPDX-License-Identifier: Apache-2.0
//
// One producer of this process as its reader sees it: the reader's end of the connection, the ring, how far it is read.
//
// Made by the thread that connects, then used by the worker's thread only. Memory: the ring. Nothing of it is in a
// forked child but the descriptor: the child's producers make rings of their own.
#pragma once

#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "exporter/intake/producer_resource.h"
#include "exporter/intake/record_to_span.h"
#include "exporter/intake/ring_memory.h"
#include "exporter/intake/ring_reader.h"

namespace spantap {

class Source {
 public:
  // nullptr if it is no hello, or memory or descriptors are not to be had; else *producer_end is what the producer
  // gets.
  static std::unique_ptr<Source> Make(absl::string_view hello, const ProducerFacts& facts, UniqueFd* producer_end);

  // At most `max_records` records as spans, appended.
  RingReader::Turn Take(size_t max_records, RecordDecoder& decoder, std::vector<char>& scratch,
                        std::vector<Span>* spans);
  // What the producer says it dropped since the last call.
  HandoffDrops TakeClaims() { return claims_.Advance(*memory_.ring()); }
  // The producer is told that no span is to be written any more.
  void Close() const { reader_.SetState(SPANTAP_RING_CLOSED); }
  // Whether the producer has closed its end. One system call.
  bool ProducerGone() const;
  uint64_t data_bytes() const { return memory_.data_bytes(); }

  bool ended = false;  // the producer has gone: what lies in the ring is the rest

 private:
  Source(RingMemory memory, UniqueFd connection, std::shared_ptr<const Resource> resource);

  RingMemory memory_;
  RingReader reader_;
  HandoffClaims claims_;
  UniqueFd connection_;
  const std::shared_ptr<const Resource> resource_;
};

}  // namespace spantap
