// SPDX-License-Identifier: Apache-2.0
//
// Writes the wire form by hand, not through nanopb: four nested lengths that are known beforehand are
// one append each, and this folder stays free of generated code (an attribute is set by the event
// thread). tests/exporter/otlp compares every form with protobuf C++.
#include "exporter/model/attributes.h"

#include <cstring>

#include "exporter/model/utf8.h"

namespace spantap {
namespace {

constexpr size_t kMaxKeyBytes = 256;
constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Field number and wire type of opentelemetry.proto.common.v1 and Span.attributes.
constexpr char kSpanAttributes = 0x4a;  // Span.attributes: 9, length-delimited
constexpr char kKeyValueKey = 0x0a;
constexpr char kKeyValueValue = 0x12;
constexpr char kAnyString = 0x0a;
constexpr char kAnyBool = 0x10;
constexpr char kAnyInt = 0x18;
constexpr char kAnyDouble = 0x21;
constexpr char kAnyArray = 0x2a;
constexpr char kArrayValues = 0x0a;

constexpr size_t VarintSize(uint64_t value) {
  size_t size = 1;
  while (value >>= 7) ++size;
  return size;
}

// Size of a length-delimited field with a one-byte tag.
constexpr size_t FieldSize(size_t length) { return 1 + VarintSize(length) + length; }

char* PutVarint(char* out, uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

char* PutHeader(char* out, char tag, size_t length) {
  *out++ = tag;
  return PutVarint(out, length);
}

char* PutText(char* out, char tag, absl::string_view text) {
  out = PutHeader(out, tag, text.size());
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

// Grows `bytes` by one KeyValue whose AnyValue is `value_size` long; returns where that goes.
char* PutKey(std::string* bytes, absl::string_view untrusted_key, size_t value_size) {
  std::string repaired;
  const absl::string_view key = CutUtf8(RepairUtf8(CutUtf8(untrusted_key, kMaxKeyBytes), &repaired), kMaxKeyBytes);
  const size_t key_value_size = (key.empty() ? 0 : FieldSize(key.size())) + FieldSize(value_size);
  const size_t start = bytes->size();
  bytes->resize(start + FieldSize(key_value_size));
  char* out = PutHeader(bytes->data() + start, kSpanAttributes, key_value_size);
  if (!key.empty()) out = PutText(out, kKeyValueKey, key);
  return PutHeader(out, kKeyValueValue, value_size);
}

// Cut before the repair (bounds its cost) and after it (a bad byte becomes three).
absl::string_view CleanValue(absl::string_view untrusted_value, std::string* storage) {
  const absl::string_view cut = CutUtf8(untrusted_value, kMaxAttributeValueBytes);
  return CutUtf8(RepairUtf8(cut, storage), kMaxAttributeValueBytes);
}

}  // namespace

absl::string_view RepairUtf8(absl::string_view value, std::string* storage) {
  size_t pos = ValidUtf8Prefix(value);
  if (pos == value.size()) return value;
  storage->assign(value.data(), pos);
  while (pos < value.size()) {
    const Utf8Step step = DecodeUtf8(value, pos);
    const absl::string_view text = step.valid ? value.substr(pos, step.length) : kReplacement;
    storage->append(text.data(), text.size());
    pos += step.length;
  }
  return *storage;
}

void AttributeBlob::AddString(absl::string_view key, absl::string_view value) {
  std::string repaired;
  value = CleanValue(value, &repaired);
  PutText(PutKey(&bytes_, key, FieldSize(value.size())), kAnyString, value);
  ++count_;
}

void AttributeBlob::AddInt(absl::string_view key, int64_t value) {
  const uint64_t bits = static_cast<uint64_t>(value);
  char* out = PutKey(&bytes_, key, 1 + VarintSize(bits));
  *out++ = kAnyInt;
  PutVarint(out, bits);
  ++count_;
}

void AttributeBlob::AddDouble(absl::string_view key, double value) {
  char* out = PutKey(&bytes_, key, 1 + sizeof(value));
  *out++ = kAnyDouble;
  std::memcpy(out, &value, sizeof(value));  // little-endian on every target of this program
  ++count_;
}

void AttributeBlob::AddBool(absl::string_view key, bool value) {
  char* out = PutKey(&bytes_, key, 2);
  *out++ = kAnyBool;
  *out = value ? 1 : 0;
  ++count_;
}

void AttributeBlob::AddStringArray1(absl::string_view key, absl::string_view value) {
  std::string repaired;
  value = CleanValue(value, &repaired);
  const size_t element = FieldSize(value.size());  // one AnyValue
  const size_t array = FieldSize(element);         // ArrayValue.values
  char* out = PutHeader(PutKey(&bytes_, key, FieldSize(array)), kAnyArray, array);
  PutText(PutHeader(out, kArrayValues, element), kAnyString, value);
  ++count_;
}

}  // namespace spantap
