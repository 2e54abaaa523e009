// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/segment_template.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace spantap {
namespace {

constexpr absl::string_view kId = "*";
constexpr size_t kUuidBytes = 36;
constexpr size_t kTitleDashes = 5;  // "end-of-life-policy" is a page, six words and more are a title

bool IsPieceByte(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || (c & 0x80) != 0; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHex(char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)) != 0; }
// Bytes above 0x7f are in no need of vowels.
bool IsVowel(char c) { return (c & 0x80) != 0 || absl::string_view("aeiouyAEIOUY").find(c) != absl::string_view::npos; }

bool StartsWithUuid(absl::string_view text) {
  if (text.size() < kUuidBytes || (text.size() > kUuidBytes && IsPieceByte(text[kUuidBytes]))) return false;
  for (size_t i = 0; i < kUuidBytes; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !IsHex(text[i])) return false;
  }
  return true;
}

bool IsEmail(absl::string_view segment) {
  const size_t at = segment.find('@');
  return at != absl::string_view::npos && at > 0 && segment.find('.', at) != absl::string_view::npos;
}

// "v1beta1", "v2alpha3": the one kind of word that has digits twice.
bool IsVersion(absl::string_view piece) {
  const auto skip_digits = [&piece] {
    const auto end = std::find_if_not(piece.begin(), piece.end(), IsDigit);
    const bool any = end != piece.begin();
    piece.remove_prefix(static_cast<size_t>(end - piece.begin()));
    return any;
  };
  return absl::ConsumePrefix(&piece, "v") && skip_digits() &&
         (absl::ConsumePrefix(&piece, "alpha") || absl::ConsumePrefix(&piece, "beta") ||
          absl::ConsumePrefix(&piece, "rc")) &&
         skip_digits() && piece.empty();
}

struct Traits {
  size_t digits = 0;
  size_t digit_runs = 0;
  size_t tail_digits = 0;  // at the end
  size_t vowels = 0;
  size_t switches = 0;  // neighbouring letters of different case
  bool hex = true;
};

Traits TraitsOf(absl::string_view piece) {
  Traits t;
  for (size_t i = 0; i < piece.size(); ++i) {
    const char c = piece[i];
    const char before = i > 0 ? piece[i - 1] : '\0';
    t.hex &= IsHex(c);
    if (IsDigit(c)) {
      ++t.digits;
      if (!IsDigit(before)) ++t.digit_runs;
      ++t.tail_digits;
      continue;
    }
    t.tail_digits = 0;
    t.vowels += IsVowel(c);
    const bool letters = absl::ascii_isalpha(static_cast<unsigned char>(c)) != 0 &&
                         absl::ascii_isalpha(static_cast<unsigned char>(before)) != 0;
    t.switches += letters && ((c ^ before) & 0x20) != 0;
  }
  return t;
}

// How many bytes of a piece are the same in its like; the rest is an id.
size_t WordBytes(absl::string_view piece) {
  const size_t size = piece.size();
  const Traits t = TraitsOf(piece);
  if (t.digits == size) return 0;
  if (t.hex && (size >= 8 || (size >= 6 && t.digits >= 2))) return 0;
  if (IsDigit(piece[0]) && (size > 3 || t.digits > 1)) return 0;
  if (t.digit_runs >= 2 && size >= 6 && !IsVersion(piece)) return 0;
  if (t.digits > t.tail_digits && size >= 20) return 0;
  if (t.vowels == 0 && size - t.digits >= 8) return 0;
  if (size >= 12 && t.switches * 3 > size) return 0;
  return t.tail_digits >= 3 ? size - t.tail_digits : size;
}

class Template {
 public:
  explicit Template(char* to) : begin_(to), end_(to) {}
  void Append(absl::string_view text) { end_ = std::copy(text.begin(), text.end(), end_); }
  // One that follows another, or another and one byte between them, is part of that.
  void AppendId() {
    if (size() >= 2 && end_[-2] == '*' && !IsPieceByte(end_[-1])) --end_;
    if (size() == 0 || end_[-1] != '*') *end_++ = '*';
  }
  size_t size() const { return static_cast<size_t>(end_ - begin_); }
  absl::string_view text() const { return {begin_, size()}; }

 private:
  char* begin_;
  char* end_;
};

}  // namespace

absl::string_view SegmentTemplate(absl::string_view segment, char (&buffer)[kMaxSegmentBytes]) {
  if (segment.size() > kMaxSegmentBytes || IsEmail(segment)) return kId;
  Template result(buffer);
  while (!segment.empty()) {
    if (StartsWithUuid(segment)) {
      result.AppendId();
      segment.remove_prefix(kUuidBytes);
      continue;
    }
    const auto end = std::find_if_not(segment.begin(), segment.end(), IsPieceByte);
    const absl::string_view piece = segment.substr(0, static_cast<size_t>(end - segment.begin()));
    if (!piece.empty()) {
      const size_t word = WordBytes(piece);
      result.Append(piece.substr(0, word));
      if (word < piece.size()) result.AppendId();
    } else {
      result.Append(segment.substr(0, 1));
    }
    segment.remove_prefix(std::max<size_t>(piece.size(), 1));
  }
  const absl::string_view text = result.text();
  return static_cast<size_t>(std::count(text.begin(), text.end(), '-')) >= kTitleDashes ? kId : text;
}

}  // namespace spantap
