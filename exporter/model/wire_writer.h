// SPDX-License-Identifier: Apache-2.0
//
// Sizes and headers of protobuf's wire format, for the writers of bytes whose lengths are known beforehand:
// attributes here, spans and requests in exporter/otlp.
//
// Pure; the caller has made room.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace spantap {

constexpr size_t VarintSize(uint64_t value) { return (static_cast<size_t>(std::bit_width(value | 1)) + 6) / 7; }

// A length-delimited field whose number is below 16, as all of ours are.
constexpr size_t FieldSize(size_t length) { return 1 + VarintSize(length) + length; }

inline char* WriteVarint(char* out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) *out++ = static_cast<char>(value | 0x80);
  *out++ = static_cast<char>(value);
  return out;
}

// `tag` holds number and wire type.
inline char* WriteHeader(char* out, char tag, size_t length) {
  *out++ = tag;
  return WriteVarint(out, length);
}

}  // namespace spantap
