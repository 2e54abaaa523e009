// SPDX-License-Identifier: Apache-2.0
//
// One message of protobuf's wire format, field by field. Used where bytes that are already encoded are looked at:
// limits on attributes here, counting, splitting and JSON in exporter/otlp.
//
// Total: any bytes may come in; nothing is read outside the view, lengths are checked, what is not well formed ends
// the reading. Groups (obsolete, in no OTLP message) count as malformed. No allocation.
#pragma once

#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"

namespace spantap {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

struct WireField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t value = 0;       // of a varint or a fixed field
  absl::string_view bytes;  // of a length-delimited one
  absl::string_view whole;  // tag and length included

  bool Is(uint32_t wanted_number, WireType wanted_type) const { return number == wanted_number && type == wanted_type; }
};

class WireReader {
 public:
  explicit WireReader(absl::string_view message)
      : pos_(message.data()), end_(message.data() + message.size()), malformed_(false) {}

  // False at the end, and at the first field that is not well formed.
  bool Next(WireField* field) {
    if (pos_ == end_) return false;
    const char* const start = pos_;
    malformed_ = !Read(field);
    if (malformed_) {
      pos_ = end_;
      return false;
    }
    field->whole = absl::string_view(start, static_cast<size_t>(pos_ - start));
    return true;
  }

  // After Next() returned false: whether the message was well formed to its end.
  bool ok() const { return !malformed_; }

 private:
  bool Read(WireField* field) {
    uint64_t tag;
    if (!Varint(&tag) || tag > UINT32_MAX || tag < 8) return false;
    field->number = static_cast<uint32_t>(tag >> 3);
    switch (tag & 7) {
      case 0:
        field->type = WireType::kVarint;
        return Varint(&field->value);
      case 1:
        field->type = WireType::kFixed64;
        return Fixed<uint64_t>(&field->value);
      case 2:
        field->type = WireType::kLength;
        return Length(&field->bytes);
      case 5:
        field->type = WireType::kFixed32;
        return Fixed<uint32_t>(&field->value);
      default:
        return false;
    }
  }

  // At most ten bytes; bits over 64 are dropped, as protobuf does.
  bool Varint(uint64_t* ret) {
    if (pos_ != end_ && static_cast<int8_t>(*pos_) >= 0) {
      *ret = static_cast<uint8_t>(*pos_++);
      return true;
    }
    uint64_t value = 0;
    for (int shift = 0; shift < 70 && pos_ != end_; shift += 7) {
      const uint8_t byte = static_cast<uint8_t>(*pos_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        *ret = value;
        return true;
      }
    }
    return false;
  }

  template <typename T>
  bool Fixed(uint64_t* ret) {
    T value;
    if (static_cast<size_t>(end_ - pos_) < sizeof(value)) return false;
    std::memcpy(&value, pos_, sizeof(value));  // little-endian on every target of this program
    pos_ += sizeof(value);
    *ret = value;
    return true;
  }

  bool Length(absl::string_view* ret) {
    uint64_t length;
    if (!Varint(&length) || length > static_cast<size_t>(end_ - pos_)) return false;
    *ret = absl::string_view(pos_, length);
    pos_ += length;
    return true;
  }

  const char* pos_;
  const char* end_;
  bool malformed_;
};

}  // namespace spantap
