// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/attribute_decoder.h"

#include <bit>

#include "exporter/intake/attribute_names.h"
#include "spantap/spantap.h"

namespace spantap {

bool AttributeDecoder::Decode(ByteCursor& cursor, size_t count, size_t bytes, AttributeBlob* blob, uint32_t* dropped) {
  absl::string_view part;
  if (!cursor.Take(bytes, &part)) return false;
  ByteCursor own(part);
  return Decode(own, count, blob, dropped) && own.left() == 0;
}

bool AttributeDecoder::Decode(ByteCursor& cursor, size_t count, AttributeBlob* blob, uint32_t* dropped) {
  if (count > RecordAttributes::kMaxAttributes) return false;
  ByteCursor again = cursor;
  const Pass pass = DecodeOnce(cursor, count);
  if (pass == Pass::kLie) return false;
  if (pass == Pass::kDone) {
    writer_.Give(blob);
    *dropped += unknown_;
    return true;
  }
  cursor = again;
  if (!list_.Read(cursor, count)) return false;
  *blob = AttributeBlob();
  list_.AppendTo(query_values_, blob);
  *dropped += list_.unknown();
  return true;
}

AttributeDecoder::Pass AttributeDecoder::DecodeOnce(ByteCursor& cursor, size_t count) {
  writer_.Clear();
  keys_ = 0;
  names_size_ = 0;
  unknown_ = 0;
  for (size_t i = 0; i < count; ++i) {
    RecordAttribute attribute;
    if (!ReadAttribute(cursor, &attribute)) return Pass::kLie;
    if (attribute.name.empty()) {
      ++unknown_;
      continue;
    }
    if (SeenBefore(attribute)) return Pass::kTwice;
    Write(attribute);
  }
  return Pass::kDone;
}

// By key, or, where names were given, by name: a key and a name may mean the same.
bool AttributeDecoder::SeenBefore(const RecordAttribute& attribute) {
  for (size_t i = 0; i < names_size_; ++i) {
    if (names_[i] == attribute.name) return true;
  }
  if (attribute.key != SPANTAP_KEY_NAMED) {
    const uint64_t bit = uint64_t{1} << attribute.key;
    const bool seen = (keys_ & bit) != 0;
    keys_ |= bit;
    return seen;
  }
  names_[names_size_++] = attribute.name;
  for (uint64_t keys = keys_; keys != 0; keys &= keys - 1) {
    if (AttributeName(static_cast<uint16_t>(std::countr_zero(keys))) == attribute.name) return true;
  }
  return false;
}

void AttributeDecoder::Write(const RecordAttribute& attribute) {
  const bool named = attribute.key == SPANTAP_KEY_NAMED;
  const EncodedName& name = EncodedAttributeName(attribute.key);
  switch (attribute.type) {
    case SPANTAP_INT:
      return named ? writer_.AddInt(attribute.name, attribute.number) : writer_.AddInt(name, attribute.number);
    case SPANTAP_DOUBLE: {
      const auto number = std::bit_cast<double>(attribute.number);
      return named ? writer_.AddDouble(attribute.name, number) : writer_.AddDouble(name, number);
    }
    case SPANTAP_BOOL:
      return named ? writer_.AddBool(attribute.name, attribute.number != 0)
                   : writer_.AddBool(name, attribute.number != 0);
    default:
      return WriteText(attribute);
  }
}

void AttributeDecoder::WriteText(const RecordAttribute& attribute) {
  const absl::string_view text = RedactedText(attribute, query_values_, &redacted_);
  if (attribute.key == SPANTAP_KEY_NAMED) return writer_.AddString(attribute.name, text);
  const EncodedName& name = EncodedAttributeName(attribute.key);
  // Semconv: header attributes are lists.
  if (attribute.key == SPANTAP_KEY_REQUEST_ID) return writer_.AddStringArray1(name, text);
  writer_.AddString(name, text);
}

}  // namespace spantap
