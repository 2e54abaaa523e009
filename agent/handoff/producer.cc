// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/producer.h"

#include <algorithm>
#include <utility>

namespace spantap {

Producer::Producer(const Peer& peer, UniqueFd connection, UniqueFd process, RingMemory memory,
                   std::shared_ptr<const Resource> resource)
    : RingIntake(std::move(memory), std::move(resource)),
      peer_(peer),
      connection_(std::move(connection)),
      process_(std::move(process)) {}

RingReader::Turn Producer::Take(size_t max_records, RecordDecoder& decoder, std::vector<char>& scratch,
                                std::vector<Span>* spans, std::vector<SpanConnection>* connections) {
  const RingReader::Turn turn = RingIntake::Take(max_records, decoder, scratch, spans, connections);
  if (ended_) end_bytes_ -= std::min(end_bytes_, turn.waiting - turn.left);
  return turn;
}

void Producer::End() {
  if (std::exchange(ended_, true)) return;
  end_bytes_ = data_bytes();
}

}  // namespace spantap
