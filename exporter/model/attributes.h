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

 private:
  std::string bytes_;
  uint32_t count_ = 0;
};

// Longest string value kept, in bytes.
inline constexpr size_t kMaxAttributeValueBytes = 4096;

// `value` if it is valid UTF-8, otherwise repaired into *storage. Never copies when valid.
absl::string_view RepairUtf8(absl::string_view value, std::string* storage);

}  // namespace spantap
