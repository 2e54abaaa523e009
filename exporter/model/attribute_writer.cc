// SPDX-License-Identifier: Apache-2.0
#include "exporter/model/attribute_writer.h"

#include <algorithm>

#include "exporter/model/attribute_wire.h"

namespace spantap {
namespace {

using namespace attribute_wire;

// Headers of an attribute with two bytes of length each, and what EncodedName::Put() writes too much.
constexpr size_t kSlack = 96;

// A name that was cleaned for the call.
struct NameField {
  absl::string_view name;
  size_t size() const { return FieldSize(name.size()); }
  char* Put(char* out) const { return PutText(out, kKeyValueKey, name); }
};

NameField Clean(absl::string_view untrusted_name, std::string* storage) {
  return {CleanText(untrusted_name, kMaxAttributeNameBytes, storage)};
}

template <typename Word>
bool HasHighBit(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof(word));
  return (word & static_cast<Word>(0x8080808080808080u)) != 0;
}

// Telemetry is ASCII almost always: eight bytes at a time, the last ones together with some before them.
bool IsAscii(absl::string_view text) {
  const char* const at = text.data();
  const size_t size = text.size();
  if (size >= 8) {
    bool high = HasHighBit<uint64_t>(at + size - 8);
    for (size_t i = 0; i + 8 < size; i += 8) high |= HasHighBit<uint64_t>(at + i);
    return !high;
  }
  if (size >= 4) return !HasHighBit<uint32_t>(at) && !HasHighBit<uint32_t>(at + size - 4);
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) >= 0x80; });
}

absl::string_view CleanValue(absl::string_view untrusted_value, std::string* storage) {
  if (untrusted_value.size() <= kMaxAttributeValueBytes && IsAscii(untrusted_value)) return untrusted_value;
  return CleanText(untrusted_value, kMaxAttributeValueBytes, storage);
}

}  // namespace

// Room for one attribute whose AnyValue has `value_size` bytes, written up to there.
template <typename Name>
char* AttributeWriter::Begin(const Name& name, size_t value_size) {
  const size_t size = name.size() + FieldSize(value_size);
  if (bytes_.size() < size_ + size + kSlack) bytes_.resize(std::max(2 * bytes_.size(), size_ + size + kSlack));
  char* const out = WriteHeader(bytes_.data() + size_, kSpanAttributes, size);
  return WriteHeader(name.Put(out), kKeyValueValue, value_size);
}

void AttributeWriter::End(const char* out) {
  size_ = static_cast<size_t>(out - bytes_.data());
  ++count_;
}

void AttributeWriter::AddString(const EncodedName& name, absl::string_view value) {
  std::string repaired;
  value = CleanValue(value, &repaired);
  End(PutText(Begin(name, FieldSize(value.size())), kAnyString, value));
}

void AttributeWriter::AddString(absl::string_view name, absl::string_view value) {
  std::string repaired, repaired_name;
  value = CleanValue(value, &repaired);
  End(PutText(Begin(Clean(name, &repaired_name), FieldSize(value.size())), kAnyString, value));
}

void AttributeWriter::AddStringArray1(const EncodedName& name, absl::string_view value) {
  std::string repaired;
  value = CleanValue(value, &repaired);
  const size_t element = FieldSize(value.size());  // one AnyValue
  char* const out = WriteHeader(Begin(name, FieldSize(FieldSize(element))), kAnyArray, FieldSize(element));
  End(PutText(WriteHeader(out, kArrayValues, element), kAnyString, value));
}

void AttributeWriter::AddInt(const EncodedName& name, int64_t value) {
  End(PutInt(Begin(name, IntSize(value)), value));
}
void AttributeWriter::AddDouble(const EncodedName& name, double value) {
  End(PutDouble(Begin(name, kDoubleSize), value));
}
void AttributeWriter::AddBool(const EncodedName& name, bool value) { End(PutBool(Begin(name, kBoolSize), value)); }

void AttributeWriter::AddInt(absl::string_view name, int64_t value) {
  std::string repaired;
  End(PutInt(Begin(Clean(name, &repaired), IntSize(value)), value));
}
void AttributeWriter::AddDouble(absl::string_view name, double value) {
  std::string repaired;
  End(PutDouble(Begin(Clean(name, &repaired), kDoubleSize), value));
}
void AttributeWriter::AddBool(absl::string_view name, bool value) {
  std::string repaired;
  End(PutBool(Begin(Clean(name, &repaired), kBoolSize), value));
}

}  // namespace spantap
