// SPDX-License-Identifier: Apache-2.0
//
// Writes many attributes in a row, as AttributeBlob has them: into memory that is kept from span to span, from which a
// blob then gets its exact size in one piece. For who decodes a hundred thousand spans a second (exporter/intake).
//
// Strings and names are repaired and cut as AttributeBlob does it. Cost: one look and one copy a value. One thread.
// Memory: the largest list that was written.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"
#include "exporter/model/attributes.h"
#include "exporter/model/wire_writer.h"

namespace spantap {

// A name as the field KeyValue.key, encoded once. `name`: valid UTF-8 of at most kMaxName bytes.
class EncodedName {
 public:
  static constexpr size_t kMaxName = 46;

  constexpr EncodedName() = default;
  constexpr explicit EncodedName(absl::string_view name) : size_(static_cast<uint8_t>(name.size() + 2)) {
    bytes_[0] = 0x0a;
    bytes_[1] = static_cast<char>(name.size());
    for (size_t i = 0; i < name.size(); ++i) bytes_[i + 2] = name[i];
  }
  size_t size() const { return size_; }
  // Writes all of bytes_, which is faster than to write size() of them.
  char* Put(char* out) const {
    std::memcpy(out, bytes_.data(), sizeof(bytes_));
    return out + size_;
  }

 private:
  std::array<char, kMaxName + 2> bytes_ = {};
  uint8_t size_ = 0;
};

class AttributeWriter {
 public:
  // From the beginning again.
  void Clear() { size_ = count_ = 0; }
  void AddString(const EncodedName& name, absl::string_view value);
  void AddStringArray1(const EncodedName& name, absl::string_view value);
  void AddInt(const EncodedName& name, int64_t value);
  void AddDouble(const EncodedName& name, double value);
  void AddBool(const EncodedName& name, bool value);
  // Any name.
  void AddString(absl::string_view name, absl::string_view value);
  void AddInt(absl::string_view name, int64_t value);
  void AddDouble(absl::string_view name, double value);
  void AddBool(absl::string_view name, bool value);

  // Replaces what is in the blob by what was written.
  void Give(AttributeBlob* blob) const { blob->Assign(absl::string_view(bytes_.data(), size_), count_); }

 private:
  template <typename Name>
  char* Begin(const Name& name, size_t value_size);
  void End(const char* out);

  std::string bytes_;
  size_t size_ = 0;  // written
  uint32_t count_ = 0;
};

}  // namespace spantap
