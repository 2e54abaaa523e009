// SPDX-License-Identifier: Apache-2.0
//
// Fields of known size into a nanopb stream. Small ones are gathered and written at once, because each call into
// nanopb costs as much as copying some hundred bytes.
//
// One thread; 256 bytes on the stack. Errors (there is no room) are kept until Finish().
#pragma once

#include <pb_encode.h>

#include <cstring>

#include "absl/strings/string_view.h"
#include "exporter/model/wire_reader.h"
#include "exporter/model/wire_writer.h"

namespace spantap {

class FieldWriter {
 public:
  explicit FieldWriter(pb_ostream_t* out) : out_(out) {}
  FieldWriter(const FieldWriter&) = delete;

  // Whether all was written.
  [[nodiscard]] bool Finish() {
    Flush();
    return ok_;
  }

  // Tag and length; the body is to follow.
  void Header(uint32_t tag, size_t length) {
    Room();
    Tag(tag, PB_WT_STRING);
    Number(length);
  }
  void Raw(absl::string_view bytes) { Put(bytes.data(), bytes.size()); }
  // The following are left out if they have their default value.
  void Text(uint32_t tag, absl::string_view text) {
    if (text.empty()) return;
    Header(tag, text.size());
    Raw(text);
  }
  template <typename Id>
  void IdField(uint32_t tag, const Id& id) {
    if (!id.valid()) return;
    Header(tag, id.bytes.size());
    Put(id.bytes.data(), id.bytes.size());
  }
  void Varint(uint32_t tag, uint64_t value) {
    if (value == 0) return;
    Room();
    Tag(tag, PB_WT_VARINT);
    Number(value);
  }
  void Fixed64(uint32_t tag, uint64_t value) { Fixed(tag, PB_WT_64BIT, value); }
  void Fixed32(uint32_t tag, uint32_t value) { Fixed(tag, PB_WT_32BIT, value); }
  // An attribute blob with the tag of each field replaced: attributes have another number outside Span. Writes
  // blob.size() bytes, whatever they are.
  void Attributes(uint32_t tag, absl::string_view blob) {
    WireReader reader(blob);
    size_t read = 0;
    for (WireField field; reader.Next(&field); read += field.whole.size()) {
      Room();
      Tag(tag, PB_WT_STRING);
      Raw(field.whole.substr(1));
    }
    Raw(blob.substr(read));  // nothing, if the blob is well formed
  }

 private:
  static constexpr size_t kMaxSmall = 24;  // a tag and a number, at most

  void Room() {
    if (size_ + kMaxSmall > sizeof(bytes_)) Flush();
  }
  void Flush() {
    ok_ = ok_ && pb_write(out_, bytes_, size_);
    size_ = 0;
  }
  void Tag(uint32_t tag, pb_wire_type_t type) { Number(tag << 3 | static_cast<uint32_t>(type)); }
  void Number(uint64_t value) {
    char* const start = reinterpret_cast<char*>(bytes_ + size_);
    size_ += static_cast<size_t>(WriteVarint(start, value) - start);
  }
  template <typename T>
  void Fixed(uint32_t tag, pb_wire_type_t type, T value) {
    if (value == 0) return;
    Room();
    Tag(tag, type);
    std::memcpy(bytes_ + size_, &value, sizeof(value));  // little-endian on every target of this program
    size_ += sizeof(value);
  }
  void Put(const void* data, size_t size) {
    if (size > sizeof(bytes_) - size_) {
      Flush();
      if (size > sizeof(bytes_)) {
        ok_ = ok_ && pb_write(out_, static_cast<const uint8_t*>(data), size);
        return;
      }
    }
    if (size != 0) std::memcpy(bytes_ + size_, data, size);
    size_ += size;
  }

  pb_ostream_t* const out_;
  bool ok_ = true;
  size_t size_ = 0;
  uint8_t bytes_[256];
};

}  // namespace spantap
