// SPDX-License-Identifier: Apache-2.0
#include "exporter/otlp/json_writer.h"

#include <algorithm>
#include <cmath>

#include "exporter/model/utf8.h"

namespace spantap {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr char kHexDigits[] = "0123456789abcdef";
constexpr char kBase64Digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr uint64_t kOnes = 0x0101010101010101u;
constexpr uint64_t kHighs = 0x8080808080808080u;

bool Plain(char c) { return static_cast<int8_t>(c) >= 0x20 && c != '"' && c != '\\'; }

// The bytes from `pos` on that are written as they are: printable ASCII but for two, eight at a time.
size_t PlainEnd(absl::string_view text, size_t pos) {
  for (; pos + 8 <= text.size(); pos += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + pos, sizeof(word));
    const uint64_t quote = word ^ kOnes * '"', backslash = word ^ kOnes * '\\';
    if ((word | (word - kOnes * 0x20) | (quote - kOnes) | (backslash - kOnes)) & kHighs) break;
  }
  while (pos < text.size() && Plain(text[pos])) ++pos;
  return pos;
}

}  // namespace

JsonWriter::JsonWriter(std::string* out, size_t guess) : out_(out) {
  if (out->size() < guess) out->resize(guess);
  pos_ = out->data();
  end_ = pos_ + out->size();
}

void JsonWriter::Grow(size_t bytes) {
  const size_t written = Open();
  out_->resize(std::max(2 * out_->size(), written + bytes));
  pos_ = out_->data() + written;
  end_ = out_->data() + out_->size();
}

void JsonWriter::Text(absl::string_view untrusted_text) {
  Raw("\"");
  for (size_t pos = 0; pos < untrusted_text.size();) {
    const size_t plain_end = PlainEnd(untrusted_text, pos);
    Raw(untrusted_text.substr(pos, plain_end - pos));
    pos = plain_end;
    if (pos == untrusted_text.size()) break;
    if (static_cast<uint8_t>(untrusted_text[pos]) < 0x80) {
      Escaped(untrusted_text[pos++]);
      continue;
    }
    const Utf8Step step = DecodeUtf8(untrusted_text, pos);
    Raw(step.valid ? untrusted_text.substr(pos, step.length) : kReplacement);
    pos += step.length;
  }
  Raw("\"");
}

void JsonWriter::Escaped(char c) {
  char text[] = "\\u0000";
  switch (c) {
    case '\n':
      return Raw("\\n");
    case '\r':
      return Raw("\\r");
    case '\t':
      return Raw("\\t");
    case '"':
    case '\\':
      text[1] = c;
      return Raw(absl::string_view(text, 2));
    default:
      text[4] = kHexDigits[static_cast<uint8_t>(c) >> 4];
      text[5] = kHexDigits[c & 0xf];
      return Raw(absl::string_view(text, 6));
  }
}

void JsonWriter::Hex(absl::string_view bytes) {
  Room(2 * bytes.size() + 2);
  *pos_++ = '"';
  for (const char c : bytes) {
    *pos_++ = kHexDigits[static_cast<uint8_t>(c) >> 4];
    *pos_++ = kHexDigits[c & 0xf];
  }
  *pos_++ = '"';
}

void JsonWriter::Base64(absl::string_view bytes) {
  Room((bytes.size() + 2) / 3 * 4 + 2);
  *pos_++ = '"';
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(bytes.size() - i, 3);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) bits = bits << 8 | (k < n ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) *pos_++ = k <= n ? kBase64Digits[bits >> (18 - 6 * k) & 63] : '=';
  }
  *pos_++ = '"';
}

void JsonWriter::Double(double value) {
  if (std::isnan(value)) return Raw("\"NaN\"");
  if (std::isinf(value)) return Raw(value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
  if (value == 0 && std::signbit(value)) return Raw("-0.0");  // many take -0 for an integer
  Number(value);
}

}  // namespace spantap
