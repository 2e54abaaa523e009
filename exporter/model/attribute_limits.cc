// SPDX-License-Identifier: Apache-2.0
//
// Limits on attributes that are already encoded: the blob is walked, and written anew only if a value is too long.
// Total: what is not well formed is kept as it is.
#include "exporter/model/attributes.h"
#include "exporter/model/utf8.h"
#include "exporter/model/wire_reader.h"
#include "exporter/model/wire_writer.h"

namespace spantap {
namespace {

// The field that leads on to texts, at each level: blob (Span), KeyValue, AnyValue, ArrayValue, and the AnyValue of an
// element, which is the last that is looked into.
constexpr uint32_t kChild[] = {9, 2, 5, 1, 0};
constexpr size_t kValueLevel = 2, kElementLevel = 4;
constexpr uint32_t kAnyString = 1, kAnyBytes = 7;

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

  // Whether some value in the message is too long.
  bool TooLong(absl::string_view message, size_t level = 0) const {
    WireReader reader(message);
    for (WireField field; reader.Next(&field);) {
      if (Text(level, field) && Cut(field).size() < field.bytes.size()) return true;
      if (field.Is(kChild[level], WireType::kLength) && TooLong(field.bytes, level + 1)) return true;
    }
    return false;
  }

  // Appends the message with its values cut.
  void Append(absl::string_view message, std::string* ret, size_t level = 0) const {
    WireReader reader(message);
    size_t read = 0;
    for (WireField field; reader.Next(&field); read += field.whole.size()) {
      if (Text(level, field)) {
        AppendField(field, Cut(field), ret);
      } else if (field.Is(kChild[level], WireType::kLength)) {
        std::string body;
        Append(field.bytes, &body, level + 1);
        AppendField(field, body, ret);
      } else {
        ret->append(field.whole.data(), field.whole.size());
      }
    }
    ret->append(message.data() + read, message.size() - read);  // the malformed rest
  }

 private:
  static bool Text(size_t level, const WireField& field) {
    return (level == kValueLevel || level == kElementLevel) && field.type == WireType::kLength &&
           (field.number == kAnyString || field.number == kAnyBytes);
  }
  absl::string_view Cut(const WireField& field) const {
    return field.number == kAnyString ? FirstCharacters(field.bytes, max_) : field.bytes.substr(0, max_);
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
  if (!cutter.TooLong(bytes_)) return;
  std::string cut;
  cutter.Append(bytes_, &cut);
  bytes_ = std::move(cut);
}

}  // namespace spantap
