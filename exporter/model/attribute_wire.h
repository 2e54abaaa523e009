// SPDX-License-Identifier: Apache-2.0
//
// An attribute's parts in OTLP's wire form (field numbers of opentelemetry.proto.common.v1 and Span.attributes). For
// attributes.cc and attribute_writer.cc, which differ in where they write. Pure; the caller has made room.
#pragma once

#include <cstring>

#include "absl/strings/string_view.h"
#include "exporter/model/wire_writer.h"

namespace spantap::attribute_wire {

inline constexpr char kSpanAttributes = 0x4a;  // Span.attributes: 9, length-delimited
inline constexpr char kKeyValueKey = 0x0a;
inline constexpr char kKeyValueValue = 0x12;
inline constexpr char kAnyString = 0x0a;
inline constexpr char kAnyBool = 0x10;
inline constexpr char kAnyInt = 0x18;
inline constexpr char kAnyDouble = 0x21;
inline constexpr char kAnyArray = 0x2a;
inline constexpr char kAnyBytes = 0x3a;
inline constexpr char kArrayValues = 0x0a;

inline char* PutText(char* out, char tag, absl::string_view text) {
  out = WriteHeader(out, tag, text.size());
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

// AnyValues of fixed form.
inline size_t IntSize(int64_t value) { return 1 + VarintSize(static_cast<uint64_t>(value)); }
inline constexpr size_t kDoubleSize = 1 + sizeof(double);
inline constexpr size_t kBoolSize = 2;

inline char* PutInt(char* out, int64_t value) {
  *out++ = kAnyInt;
  return WriteVarint(out, static_cast<uint64_t>(value));
}
inline char* PutDouble(char* out, double value) {
  *out++ = kAnyDouble;
  std::memcpy(out, &value, sizeof(value));  // little-endian on every target of this program
  return out + sizeof(value);
}
inline char* PutBool(char* out, bool value) {
  *out++ = kAnyBool;
  *out++ = value ? 1 : 0;
  return out;
}

}  // namespace spantap::attribute_wire
