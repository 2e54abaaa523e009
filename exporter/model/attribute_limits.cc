// SPDX-License-Identifier: Apache-2.0
//
// Limits on attributes that are already encoded: the blob is walked, and written anew only if a value is too long.
// A blob may come from another process: what is not well formed is kept as it is (whoever sends it would be told).
#include "exporter/model/attributes.h"
#include "exporter/model/utf8.h"
#include "exporter/model/wire_reader.h"
#include "exporter/model/wire_writer.h"

namespace spantap {
namespace {

constexpr uint32_t kAttribute = 9;  // of Span, as everywhere in a blob
constexpr uint32_t kKeyValueValue = 2;
constexpr uint32_t kAnyString = 1;
constexpr uint32_t kAnyArray = 5;
constexpr uint32_t kAnyList = 6;
constexpr uint32_t kAnyBytes = 7;
constexpr uint32_t kElement = 1;  // of ArrayValue and KeyValueList
constexpr int kMaxDepth = 16;     // of values in values; deeper ones are kept as they are

// The messages on the way from a blob to a text.
enum class Message : uint8_t { kBlob, kKeyValue, kAnyValue, kArray, kList };

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// The first `max` characters of valid UTF-8.
absl::string_view FirstCharacters(absl::string_view text, size_t max) {
  if (text.size() <= max) return text;
  size_t characters = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!IsContinuation(text[i]) && ++characters > max) return text.substr(0, i);
  }
  return text;
}

class Cutter {
 public:
  explicit Cutter(size_t max) : max_(max) {}

  // Whether some value is too long.
  bool TooLong(absl::string_view message, Message kind, int depth) const {
    WireReader reader(message);
    for (WireField field; reader.Next(&field);) {
      if (field.type != WireType::kLength) continue;
      Message inner;
      if (Leaf(kind, field) ? Cut(field).size() < field.bytes.size()
                            : Inner(kind, field, depth, &inner) && TooLong(field.bytes, inner, depth + 1)) {
        return true;
      }
    }
    return false;
  }

  // Appends the message with its values cut.
  void Append(absl::string_view message, Message kind, int depth, std::string* ret) const {
    WireReader reader(message);
    size_t read = 0;
    for (WireField field; reader.Next(&field); read += field.whole.size()) {
      Message inner;
      if (field.type == WireType::kLength && Leaf(kind, field)) {
        AppendField(field, Cut(field), ret);
      } else if (field.type == WireType::kLength && Inner(kind, field, depth, &inner)) {
        std::string body;
        Append(field.bytes, inner, depth + 1, &body);
        AppendField(field, body, ret);
      } else {
        ret->append(field.whole.data(), field.whole.size());
      }
    }
    ret->append(message.data() + read, message.size() - read);  // the malformed rest
  }

 private:
  static bool Leaf(Message kind, const WireField& field) {
    return kind == Message::kAnyValue && (field.number == kAnyString || field.number == kAnyBytes);
  }
  absl::string_view Cut(const WireField& field) const {
    return field.number == kAnyString ? FirstCharacters(field.bytes, max_) : field.bytes.substr(0, max_);
  }
  // Whether the field holds a message with values, and which.
  static bool Inner(Message kind, const WireField& field, int depth, Message* ret) {
    if (depth > 3 * kMaxDepth) return false;  // three messages a level
    switch (kind) {
      case Message::kBlob:
        *ret = Message::kKeyValue;
        return field.number == kAttribute;
      case Message::kKeyValue:
        *ret = Message::kAnyValue;
        return field.number == kKeyValueValue;
      case Message::kAnyValue:
        *ret = field.number == kAnyArray ? Message::kArray : Message::kList;
        return field.number == kAnyArray || field.number == kAnyList;
      case Message::kArray:
        *ret = Message::kAnyValue;
        return field.number == kElement;
      case Message::kList:
        *ret = Message::kKeyValue;
        return field.number == kElement;
    }
    return false;
  }
  static void AppendField(const WireField& field, absl::string_view body, std::string* ret) {
    char header[11];
    const char tag = static_cast<char>(field.number << 3 | static_cast<uint32_t>(field.type));  // all are below 16
    const char* const end = WriteHeader(header, tag, body.size());
    ret->append(header, static_cast<size_t>(end - header));
    ret->append(body.data(), body.size());
  }

  const size_t max_;
};

}  // namespace

uint32_t AttributeBlob::KeepFirst(uint32_t max) {
  if (count_ <= max) return 0;
  WireReader reader(bytes_);
  WireField field;
  size_t kept = 0;
  for (uint32_t i = 0; i < max && reader.Next(&field); ++i) kept += field.whole.size();
  bytes_.resize(kept);
  const uint32_t gone = count_ - max;
  count_ = max;
  return gone;
}

void AttributeBlob::CutValues(size_t max) {
  const Cutter cutter(max);
  if (!cutter.TooLong(bytes_, Message::kBlob, 0)) return;
  std::string cut;
  cutter.Append(bytes_, Message::kBlob, 0, &cut);
  bytes_ = std::move(cut);
}

}  // namespace spantap
