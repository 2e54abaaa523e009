// SPDX-License-Identifier: Apache-2.0
//
// Makes FastCGI records from text, for tests and fuzz targets. Pure.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace spantap {

inline std::string FcgiRecord(int type, int id, absl::string_view content, size_t padding = 0) {
  const char header[] = {1,
                         static_cast<char>(type),
                         static_cast<char>(id >> 8),
                         static_cast<char>(id),
                         static_cast<char>(content.size() >> 8),
                         static_cast<char>(content.size()),
                         static_cast<char>(padding),
                         0};
  return std::string(header, sizeof(header)).append(content.data(), content.size()).append(padding, '\0');
}

inline std::string FcgiLength(size_t size, bool wide = false) {
  if (size < 0x80 && !wide) return std::string(1, static_cast<char>(size));
  return {static_cast<char>(0x80 | size >> 24), static_cast<char>(size >> 16), static_cast<char>(size >> 8),
          static_cast<char>(size)};
}

using FcgiParams = std::initializer_list<std::pair<absl::string_view, absl::string_view>>;

inline std::string FcgiPairs(FcgiParams params, bool wide = false) {
  std::string text;
  for (const auto& [name, value] : params) {
    text += FcgiLength(name.size(), wide) + FcgiLength(value.size(), wide);
    text.append(name.data(), name.size()).append(value.data(), value.size());
  }
  return text;
}

inline std::string FcgiBegin(int id = 1, bool keep = false) {
  return FcgiRecord(1, id, absl::string_view(keep ? "\0\1\1\0\0\0\0\0" : "\0\1\0\0\0\0\0\0", 8));
}

// A request as nginx sends it: one record of parameters, the body, two empty records.
inline std::string FcgiRequest(FcgiParams params, absl::string_view body = "", int id = 1) {
  std::string wire = FcgiBegin(id) + FcgiRecord(4, id, FcgiPairs(params), 3) + FcgiRecord(4, id, "");
  if (!body.empty()) wire += FcgiRecord(5, id, body, 5);
  return wire + FcgiRecord(5, id, "");
}

// Its last bytes are whatever was there before, as PHP leaves them.
inline std::string FcgiEnd(int id = 1, int protocol_status = 0) {
  return FcgiRecord(3, id, std::string("\0\0\0\0", 4) + static_cast<char>(protocol_status) + "ere");
}

// An answer as PHP sends it.
inline std::string FcgiAnswer(absl::string_view text, int id = 1) {
  return FcgiRecord(6, id, text, (8 - text.size() % 8) % 8) + FcgiEnd(id);
}

}  // namespace spantap
