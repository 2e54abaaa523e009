// SPDX-License-Identifier: Apache-2.0
//
// Reads fields from bytes that somebody else wrote. Used for records and hellos, on private copies only.
// Total: a read past the end fails and leaves the cursor where it was. One thread.
#pragma once

#include <cstddef>
#include <cstring>

#include "absl/strings/string_view.h"

namespace spantap {

class ByteCursor {
 public:
  explicit ByteCursor(absl::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool Take(size_t size, absl::string_view* bytes) {
    if (size > rest_.size()) return false;
    *bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }
  // `T`: plain data of the layout, not aligned.
  template <typename T>
  [[nodiscard]] bool Read(T* value) {
    absl::string_view bytes;
    if (!Take(sizeof(T), &bytes)) return false;
    std::memcpy(value, bytes.data(), sizeof(T));
    return true;
  }
  size_t left() const { return rest_.size(); }

 private:
  absl::string_view rest_;
};

}  // namespace spantap
