// SPDX-License-Identifier: Apache-2.0
//
// Writes the wire form by hand, not through nanopb: four nested lengths that are known beforehand are
// one append each, and this folder stays free of generated code (an attribute is set by the event
// thread). tests/exporter/otlp compares every form with protobuf C++.
#include "exporter/model/attributes.h"

#include <cstring>
#include <vector>

#include "exporter/model/attribute_wire.h"
#include "exporter/model/utf8.h"
#include "exporter/model/wire_writer.h"

namespace spantap {
namespace {

using namespace attribute_wire;

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Grows `bytes` by one KeyValue whose AnyValue is `value_size` long; returns where that goes.
char* PutKey(std::string* bytes, absl::string_view untrusted_key, size_t value_size) {
  std::string repaired;
  const absl::string_view key = CleanText(untrusted_key, kMaxAttributeNameBytes, &repaired);
  const size_t key_value_size = (key.empty() ? 0 : FieldSize(key.size())) + FieldSize(value_size);
  const size_t start = bytes->size();
  bytes->resize(start + FieldSize(key_value_size));
  char* out = WriteHeader(bytes->data() + start, kSpanAttributes, key_value_size);
  if (!key.empty()) out = PutText(out, kKeyValueKey, key);
  return WriteHeader(out, kKeyValueValue, value_size);
}

// The same with an ArrayValue that is `array_size` long; returns where its elements go.
char* PutArray(std::string* bytes, absl::string_view untrusted_key, size_t array_size) {
  return WriteHeader(PutKey(bytes, untrusted_key, FieldSize(array_size)), kAnyArray, array_size);
}

absl::string_view CleanValue(absl::string_view untrusted_value, std::string* storage) {
  return CleanText(untrusted_value, kMaxAttributeValueBytes, storage);
}

}  // namespace

// Cut before the repair (bounds its cost) and after it (a bad byte becomes three).
absl::string_view CleanText(absl::string_view untrusted_text, size_t max_bytes, std::string* storage) {
  return CutUtf8(RepairUtf8(CutUtf8(untrusted_text, max_bytes), storage), max_bytes);
}

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

void AttributeBlob::AddBytes(absl::string_view key, absl::string_view value) {
  value = value.substr(0, kMaxAttributeValueBytes);
  PutText(PutKey(&bytes_, key, FieldSize(value.size())), kAnyBytes, value);
  ++count_;
}

void AttributeBlob::AddInt(absl::string_view key, int64_t value) {
  PutInt(PutKey(&bytes_, key, IntSize(value)), value);
  ++count_;
}

void AttributeBlob::AddDouble(absl::string_view key, double value) {
  PutDouble(PutKey(&bytes_, key, kDoubleSize), value);
  ++count_;
}

void AttributeBlob::AddBool(absl::string_view key, bool value) {
  PutBool(PutKey(&bytes_, key, kBoolSize), value);
  ++count_;
}

void AttributeBlob::AddStringArray(absl::string_view key, absl::Span<const absl::string_view> values) {
  std::vector<std::string> repaired(values.size());
  std::vector<absl::string_view> clean;
  size_t array = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    clean.push_back(CleanValue(values[i], &repaired[i]));
    array += FieldSize(FieldSize(clean.back().size()));
  }
  char* out = PutArray(&bytes_, key, array);
  for (const absl::string_view value : clean) {
    out = PutText(WriteHeader(out, kArrayValues, FieldSize(value.size())), kAnyString, value);
  }
  ++count_;
}

void AttributeBlob::AddStringArray1(absl::string_view key, absl::string_view value) {
  std::string repaired;
  value = CleanValue(value, &repaired);
  const size_t element = FieldSize(value.size());  // one AnyValue
  char* out = PutArray(&bytes_, key, FieldSize(element));
  PutText(WriteHeader(out, kArrayValues, element), kAnyString, value);
  ++count_;
}

void AttributeBlob::AddIntArray(absl::string_view key, absl::Span<const int64_t> values) {
  size_t array = 0;
  for (const int64_t value : values) array += FieldSize(IntSize(value));
  char* out = PutArray(&bytes_, key, array);
  for (const int64_t value : values) out = PutInt(WriteHeader(out, kArrayValues, IntSize(value)), value);
  ++count_;
}

void AttributeBlob::AddDoubleArray(absl::string_view key, absl::Span<const double> values) {
  char* out = PutArray(&bytes_, key, values.size() * FieldSize(kDoubleSize));
  for (const double value : values) out = PutDouble(WriteHeader(out, kArrayValues, kDoubleSize), value);
  ++count_;
}

void AttributeBlob::AddBoolArray(absl::string_view key, absl::Span<const bool> values) {
  char* out = PutArray(&bytes_, key, values.size() * FieldSize(kBoolSize));
  for (const bool value : values) out = PutBool(WriteHeader(out, kArrayValues, kBoolSize), value);
  ++count_;
}

}  // namespace spantap
