// SPDX-License-Identifier: Apache-2.0
//
// The attributes of a record, of an event or link in it, or of a hello: validated, named, redacted, encoded.
//
// Used by record_to_span.cc and hello.cc. Pure; total over any bytes. Memory: kMaxAttributes views; the blob is at most
// a small multiple of the bytes read.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"
#include "exporter/handoff/ring_layout.h"
#include "exporter/intake/attribute_names.h"
#include "exporter/intake/byte_cursor.h"
#include "exporter/model/attributes.h"
#include "exporter/model/url.h"
#include "spantap/spantap.h"

namespace spantap {

// One attribute as it was handed off; views into the record.
struct RecordAttribute {
  absl::string_view name;
  uint16_t key = 0;
  uint8_t type = 0;  // spantap_type
  absl::string_view text;
  int64_t number = 0;  // the bits of an int, a double or a bool
};

// A list in which the last of several attributes with one name has won. Reused from record to record.
class RecordAttributes {
 public:
  static constexpr size_t kMaxAttributes = 128;

  // Reads `count` attributes of `bytes` bytes. False if they are not what the layout says; then the list means
  // nothing. Keys that this version does not know are left out, and counted in unknown().
  [[nodiscard]] bool Read(ByteCursor& cursor, size_t count, size_t bytes);
  [[nodiscard]] bool Read(ByteCursor& cursor, size_t count);

  const RecordAttribute* begin() const { return list_.data(); }
  const RecordAttribute* end() const { return list_.data() + size_; }
  uint32_t unknown() const { return unknown_; }

  void AppendTo(QueryValues query_values, AttributeBlob* blob) const;

 private:
  bool Fresh(const RecordAttribute& attribute);
  void Keep(const RecordAttribute& attribute);

  std::array<RecordAttribute, kMaxAttributes> list_;
  size_t size_ = 0;
  uint64_t kept_ = 0;  // bits of the keys that are in the list
  uint32_t unknown_ = 0;
};

// The next attribute; its name is empty if its key is one that this version does not know. False if the bytes are not
// what the layout says.
[[nodiscard]] inline bool ReadAttribute(ByteCursor& cursor, RecordAttribute* attribute) {
  spantap_attr_record record;
  absl::string_view name, value;
  if (!cursor.Read(&record) || !cursor.Take(record.name_bytes, &name) || !cursor.Take(record.value_bytes, &value)) {
    return false;
  }
  if ((record.key == SPANTAP_KEY_NAMED) == name.empty()) return false;
  attribute->key = record.key;
  attribute->type = record.type;
  attribute->name = name.empty() ? AttributeName(record.key) : name;
  if (record.type == SPANTAP_STRING) {
    attribute->text = value;
    return true;
  }
  const bool known = record.type == SPANTAP_INT || record.type == SPANTAP_DOUBLE || record.type == SPANTAP_BOOL;
  if (!known || value.size() != sizeof(attribute->number)) return false;
  std::memcpy(&attribute->number, value.data(), sizeof(attribute->number));
  return true;
}

// A text attribute's value as people may see it: what may be secret in a URL is left out, into *storage.
absl::string_view RedactedText(const RecordAttribute& attribute, QueryValues query_values, std::string* storage);

// As it is, whatever it means.
void AppendAttribute(const RecordAttribute& attribute, AttributeBlob* blob);

}  // namespace spantap
