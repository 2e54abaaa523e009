// SPDX-License-Identifier: Apache-2.0
//
// The attributes of a record, of an event or of a link in it, straight into OTLP's wire form: one pass over the bytes,
// as long as each name comes once. Where one comes again, the whole list is read as RecordAttributes does it.
//
// Used by record_to_span.cc. Total over any bytes. One thread. Memory: scratch for one list, reused.
#pragma once

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "exporter/intake/byte_cursor.h"
#include "exporter/intake/record_attributes.h"
#include "exporter/model/attribute_writer.h"
#include "exporter/model/url.h"

namespace spantap {

class AttributeDecoder {
 public:
  explicit AttributeDecoder(QueryValues query_values) : query_values_(query_values) {}

  // Replaces what is in `blob`. False if the bytes are not what the layout says. Attributes of keys that this version
  // does not know are added to *dropped.
  [[nodiscard]] bool Decode(ByteCursor& cursor, size_t count, AttributeBlob* blob, uint32_t* dropped);
  // The same for a list of `bytes` bytes.
  [[nodiscard]] bool Decode(ByteCursor& cursor, size_t count, size_t bytes, AttributeBlob* blob, uint32_t* dropped);

 private:
  enum class Pass : uint8_t { kDone, kTwice, kLie };
  Pass DecodeOnce(ByteCursor& cursor, size_t count);
  bool SeenBefore(const RecordAttribute& attribute);
  void Write(const RecordAttribute& attribute);
  void WriteText(const RecordAttribute& attribute);

  const QueryValues query_values_;
  AttributeWriter writer_;
  std::string redacted_;
  RecordAttributes list_;                                                  // of the slow way
  uint64_t keys_ = 0;                                                      // bits of those that came
  std::array<absl::string_view, RecordAttributes::kMaxAttributes> names_;  // that came with a name of their own
  size_t names_size_ = 0;
  uint32_t unknown_ = 0;
};

}  // namespace spantap
