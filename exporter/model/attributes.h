// SPDX-License-Identifier: Apache-2.0
//
// Attributes as OTLP wire bytes: complete `repeated KeyValue` fields as Span carries them (tag 0x4a,
// length, KeyValue). Encoded when set, never again (DESIGN section 4, "Encoding").
//
// Strings are repaired to valid UTF-8 (U+FFFD) and cut at `max_value_bytes` on a character boundary.
// Cost of AddString: one copy. One thread.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

class AttributeBlob {
 public:
  void AddString(absl::string_view key, absl::string_view value);
  void AddInt(absl::string_view key, int64_t value);
  void AddDouble(absl::string_view key, double value);
  void AddBool(absl::string_view key, bool value);
  // A string array with one element (`http.request.header.<name>`).
  void AddStringArray1(absl::string_view key, absl::string_view value);

  uint32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  // Complete `repeated KeyValue` fields: tag 0x4a, length, KeyValue; ready for Span field 9. Resource
  // and Link use another tag: see otlp_encoder.h.
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
