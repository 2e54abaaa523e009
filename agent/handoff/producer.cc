// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/producer.h"

#include <algorithm>
#include <utility>

namespace spantap {

Producer::Producer(const Peer& peer, UniqueFd connection, UniqueFd process, RingMemory memory,
                   std::shared_ptr<const Resource> resource)
    : peer_(peer),
      connection_(std::move(connection)),
      process_(std::move(process)),
      memory_(std::move(memory)),
      reader_(memory_.ring(), memory_.data_bytes()),
      resource_(std::move(resource)) {}

RingReader::Turn Producer::Take(size_t max_records, RecordDecoder& decoder, std::vector<char>& scratch,
                                std::vector<Span>* spans, std::vector<SpanConnection>* connections) {
  const RingReader::Turn turn = reader_.Take(max_records, scratch, [&](absl::string_view record) {
    SpanConnection connection;
    if (!decoder.AppendSpan(record, resource_, spans, connections != nullptr ? &connection : nullptr)) return false;
    if (connections != nullptr) connections->push_back(connection);
    return true;
  });
  if (ended_) end_bytes_ -= std::min(end_bytes_, turn.waiting - turn.left);
  return turn;
}

void Producer::End() {
  if (std::exchange(ended_, true)) return;
  end_bytes_ = memory_.data_bytes();
}

}  // namespace spantap
