// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/ring_intake.h"

#include <utility>

namespace spantap {

RingIntake::RingIntake(RingMemory memory, std::shared_ptr<const Resource> resource)
    : memory_(std::move(memory)), reader_(memory_.ring(), memory_.data_bytes()), resource_(std::move(resource)) {}

RingReader::Turn RingIntake::Take(size_t max_records, RecordDecoder& decoder, std::vector<char>& scratch,
                                  std::vector<Span>* spans, std::vector<SpanConnection>* connections) {
  return reader_.Take(max_records, scratch, [&](absl::string_view record) {
    SpanConnection connection;
    if (!decoder.AppendSpan(record, resource_, spans, connections != nullptr ? &connection : nullptr)) return false;
    if (connections != nullptr) connections->push_back(connection);
    return true;
  });
}

}  // namespace spantap
