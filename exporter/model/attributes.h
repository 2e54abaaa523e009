// SPDX-License-Identifier: Apache-2.0
//
// Attributes as OTLP wire bytes: complete `repeated KeyValue` fields as Span carries them (tag 0x4a,
// length, KeyValue). Encoded when set, never again (exporter/otlp/README.md says why).
//
// Strings are repaired to valid UTF-8 (U+FFFD) and cut at kMaxAttributeValueBytes on a character boundary; byte
// values are cut there too. The number of an array's elements is the caller's to bound. Cost of AddString: one copy.
// One thread.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace spantap {

class AttributeBlob {
 public:
  void AddString(absl::string_view key, absl::string_view value);
  void AddInt(absl::string_view key, int64_t value);
  void AddDouble(absl::string_view key, double value);
  void AddBool(absl::string_view key, bool value);
  void AddBytes(absl::string_view key, absl::string_view value);
  void AddStringArray(absl::string_view key, absl::Span<const absl::string_view> values);
  // A string array with one element (`http.request.header.<name>`).
  void AddStringArray1(absl::string_view key, absl::string_view value);
  void AddIntArray(absl::string_view key, absl::Span<const int64_t> values);
  void AddDoubleArray(absl::string_view key, absl::Span<const double> values);
  void AddBoolArray(absl::string_view key, absl::Span<const bool> values);

  // Keeps the first `max`; returns how many went. O(1) if nothing goes.
  uint32_t KeepFirst(uint32_t max);
  // Cuts string values (also inside arrays) to `max` characters and byte values to `max` bytes. One look at each
  // value; copies only if there is a longer one.
  void CutValues(size_t max);

  uint32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  // Complete `repeated KeyValue` fields: tag 0x4a, length, KeyValue; ready for Span field 9. Resources,
  // events and links use another tag: the encoder replaces it.
  absl::string_view bytes() const { return bytes_; }
  void reserve(size_t bytes) { bytes_.reserve(bytes); }
  // What AttributeWriter wrote.
  void Assign(absl::string_view bytes, uint32_t count) {
    bytes_.assign(bytes.data(), bytes.size());
    count_ = count;
  }

 private:
  std::string bytes_;
  uint32_t count_ = 0;
};

// Longest string value kept, in bytes.
inline constexpr size_t kMaxAttributeValueBytes = 4096;

// Longest name kept, in bytes.
inline constexpr size_t kMaxAttributeNameBytes = 256;

// `value` if it is valid UTF-8, otherwise repaired into *storage. Never copies when valid.
absl::string_view RepairUtf8(absl::string_view value, std::string* storage);
// A name or a value as it is kept: repaired, at most `max_bytes`. Never copies when there is nothing to repair.
absl::string_view CleanText(absl::string_view untrusted_text, size_t max_bytes, std::string* storage);

}  // namespace spantap
