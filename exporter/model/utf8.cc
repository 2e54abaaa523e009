// SPDX-License-Identifier: Apache-2.0
#include "exporter/model/utf8.h"

#include <cstdint>
#include <cstring>

namespace spantap {
namespace {

// What may follow a lead byte: the number of continuation bytes and the range of the first of them.
struct Lead {
  uint8_t continuations;  // 0: not a lead byte
  uint8_t low, high;
};

Lead LeadOf(uint8_t byte) {
  if (byte >= 0xc2 && byte <= 0xdf) return {1, 0x80, 0xbf};
  if (byte == 0xe0) return {2, 0xa0, 0xbf};  // no overlong forms
  if (byte == 0xed) return {2, 0x80, 0x9f};  // no surrogates
  if (byte >= 0xe1 && byte <= 0xef) return {2, 0x80, 0xbf};
  if (byte == 0xf0) return {3, 0x90, 0xbf};
  if (byte >= 0xf1 && byte <= 0xf3) return {3, 0x80, 0xbf};
  if (byte == 0xf4) return {3, 0x80, 0x8f};  // nothing above U+10FFFF
  return {0, 0, 0};
}

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// Telemetry is ASCII almost always: eight bytes at a time.
size_t AsciiPrefix(absl::string_view text, size_t pos) {
  constexpr uint64_t kHighs = 0x8080808080808080u;
  uint64_t word = 0;
  for (; pos + 8 <= text.size(); pos += 8) {
    std::memcpy(&word, text.data() + pos, sizeof(word));
    if (word & kHighs) break;
  }
  // The rest together with bytes that were looked at already (if there are eight).
  if (pos < text.size() && text.size() - pos < 8 && text.size() >= 8) {
    std::memcpy(&word, text.data() + text.size() - 8, sizeof(word));
    if ((word >> 8 * (8 - (text.size() - pos)) & kHighs) == 0) return text.size();
  }
  while (pos < text.size() && static_cast<uint8_t>(text[pos]) < 0x80) ++pos;
  return pos;
}

}  // namespace

Utf8Step DecodeUtf8(absl::string_view text, size_t pos) {
  const uint8_t first = static_cast<uint8_t>(text[pos]);
  if (first < 0x80) return {1, true};
  const Lead lead = LeadOf(first);
  if (lead.continuations == 0) return {1, false};
  size_t length = 1;
  for (; length <= lead.continuations; ++length) {
    if (pos + length >= text.size()) return {length, false};
    const uint8_t byte = static_cast<uint8_t>(text[pos + length]);
    const bool fits = length == 1 ? byte >= lead.low && byte <= lead.high : IsContinuation(text[pos + length]);
    if (!fits) return {length, false};
  }
  return {length, true};
}

size_t ValidUtf8Prefix(absl::string_view text) {
  size_t pos = 0;
  while ((pos = AsciiPrefix(text, pos)) < text.size()) {
    const Utf8Step step = DecodeUtf8(text, pos);
    if (!step.valid) return pos;
    pos += step.length;
  }
  return pos;
}

absl::string_view CutUtf8(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t length = max_bytes;
  while (length > 0 && max_bytes - length < 3 && IsContinuation(text[length])) --length;
  // Four continuation bytes in a row are no text at all: cut where asked.
  return text.substr(0, IsContinuation(text[length]) ? max_bytes : length);
}

}  // namespace spantap
