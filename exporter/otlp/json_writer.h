// SPDX-License-Identifier: Apache-2.0
//
// JSON text written front to back into one string, for otlp_json.cc. Objects and arrays are opened by remembering a
// place and closed by writing the bracket there: each member and element begins with a comma, and the first comma
// becomes the bracket.
//
// Total: texts may be any bytes; what is not UTF-8 becomes U+FFFD. The string grows by doubling.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

class JsonWriter {
 public:
  // Writes over `out`, which keeps its memory; `guess` is what it will take, more or less.
  JsonWriter(std::string* out, size_t guess);
  // Ends the writing: `out` has the text then.
  void Finish() { out_->resize(static_cast<size_t>(pos_ - out_->data())); }

  using Place = size_t;
  Place Open() const { return static_cast<size_t>(pos_ - out_->data()); }
  void CloseObject(Place start) { Close(start, '{', '}'); }
  void CloseArray(Place start) { Close(start, '[', ']'); }
  void Comma() { Raw(","); }
  // As it is: `,"name":` and other fixed texts.
  void Raw(absl::string_view text) {
    Room(text.size());
    Put(text.data(), text.size());
  }

  void Text(absl::string_view untrusted_text);
  void Hex(absl::string_view bytes);
  void Base64(absl::string_view bytes);
  void Bool(bool value) { Raw(value ? "true" : "false"); }
  void Double(double value);  // the shortest text that is read back as the same number
  template <typename Integer>
  void Number(Integer value) {
    Room(kMaxNumber);
    pos_ = std::to_chars(pos_, end_, value).ptr;
  }
  // 64-bit integers are strings in protobuf's JSON.
  template <typename Integer>
  void QuotedNumber(Integer value) {
    Room(kMaxNumber);
    *pos_++ = '"';
    pos_ = std::to_chars(pos_, end_, value).ptr;
    *pos_++ = '"';
  }

 private:
  static constexpr size_t kMaxNumber = 40;  // a double takes up to 24, an integer 20

  void Room(size_t bytes) {
    if (static_cast<size_t>(end_ - pos_) < bytes) Grow(bytes);
  }
  void Grow(size_t bytes);
  void Put(const char* data, size_t size) {
    std::memcpy(pos_, data, size);
    pos_ += size;
  }
  void Close(Place start, char open, char close) {
    Room(2);
    if (Open() == start) ++pos_;  // empty
    (*out_)[start] = open;
    *pos_++ = close;
  }
  void Escaped(char c);

  std::string* const out_;
  char* pos_;
  char* end_;
};

}  // namespace spantap
