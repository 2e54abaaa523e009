// SPDX-License-Identifier: Apache-2.0
//
// A record of a hand-off ring -> a span of the model. The bytes are a private copy: nobody changes them meanwhile.
//
// Used by producer.cc and the fuzz target. Pure but for its scratch memory; total over any bytes. Cost: about half a
// microsecond for ten attributes.
#pragma once

#include <memory>
#include <optional>

#include "absl/strings/string_view.h"
#include "exporter/intake/record_attributes.h"
#include "exporter/model/handed_span.h"

namespace spantap {

class RecordDecoder {
 public:
  explicit RecordDecoder(QueryValues query_values = QueryValues::kRedacted) : query_values_(query_values) {}

  // nullopt if `record` is not what ring_layout.h and the limits of spantap.h say: libspantap.so writes no such record.
  // Text is repaired, an illegal trace state left out; neither is a lie. `connection`: null if nobody asks.
  std::optional<Span> RecordToSpan(absl::string_view record, std::shared_ptr<const Resource> resource,
                                   SpanConnection* connection = nullptr);

 private:
  [[nodiscard]] bool ReadAttributes(ByteCursor& cursor, size_t count, size_t bytes, AttributeBlob* blob,
                                    uint32_t* dropped);
  [[nodiscard]] bool ReadEvents(ByteCursor& cursor, size_t count, Span& span);
  [[nodiscard]] bool ReadLinks(ByteCursor& cursor, size_t count, Span& span);

  const QueryValues query_values_;
  RecordAttributes attributes_;
};

}  // namespace spantap
