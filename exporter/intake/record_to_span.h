// SPDX-License-Identifier: Apache-2.0
//
// A record of a hand-off ring -> a span of the model. The bytes are a private copy: nobody changes them meanwhile.
//
// Used by producer.cc and the fuzz target. Pure but for its scratch memory; total over any bytes. Cost: about half a
// microsecond for ten attributes.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "exporter/intake/attribute_decoder.h"
#include "exporter/model/handed_span.h"

namespace spantap {

class RecordDecoder {
 public:
  explicit RecordDecoder(QueryValues query_values = QueryValues::kRedacted) : attributes_(query_values) {}

  // nullopt if `record` is not what ring_layout.h and the limits of spantap.h say: libspantap.so writes no such record.
  // Text is repaired, an illegal trace state left out; neither is a lie. `connection`: null if nobody asks.
  std::optional<Span> RecordToSpan(absl::string_view record, std::shared_ptr<const Resource> resource,
                                   SpanConnection* connection = nullptr);
  // The same at the end of `spans`, where the span stays; false: nothing is appended.
  [[nodiscard]] bool AppendSpan(absl::string_view record, const std::shared_ptr<const Resource>& resource,
                                std::vector<Span>* spans, SpanConnection* connection = nullptr);

 private:
  [[nodiscard]] bool Decode(absl::string_view record, Span& span, SpanConnection* connection);
  [[nodiscard]] bool ReadEvents(ByteCursor& cursor, size_t count, Span& span);
  [[nodiscard]] bool ReadLinks(ByteCursor& cursor, size_t count, Span& span);

  AttributeDecoder attributes_;
};

}  // namespace spantap
