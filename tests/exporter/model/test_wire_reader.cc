// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "exporter/model/wire_reader.h"
#include "exporter/model/wire_writer.h"

namespace spantap {
namespace {

TEST_CASE("wire reader: each type of field", "[model]") {
  const std::string bytes(
      "\x08\x96\x01\x12\x03"
      "abc"
      "\x19\1\0\0\0\0\0\0\x80\x25\2\0\0\0\x80\x02\0",
      25);
  WireReader reader(bytes);
  WireField field;
  REQUIRE(reader.Next(&field));
  CHECK((field.Is(1, WireType::kVarint) && field.value == 150 && field.whole.size() == 3));
  REQUIRE(reader.Next(&field));
  CHECK((field.Is(2, WireType::kLength) && field.bytes == "abc" &&
         field.whole == "\x12\x03"
                        "abc"));
  REQUIRE(reader.Next(&field));
  CHECK((field.Is(3, WireType::kFixed64) && field.value == 0x8000000000000001u));
  REQUIRE(reader.Next(&field));
  CHECK((field.Is(4, WireType::kFixed32) && field.value == 2));
  REQUIRE(reader.Next(&field));
  CHECK((field.Is(32, WireType::kVarint) && field.value == 0));
  CHECK_FALSE(reader.Next(&field));
  CHECK(reader.ok());
}

TEST_CASE("wire reader: every cut in the middle of a field is seen", "[model]") {
  const std::string whole("\x82\x08\x85\x01" + std::string(133, 'x') + "\xf9\xff\xff\xff\x0f" + std::string(8, 'y'));
  for (size_t length = 0; length <= whole.size(); ++length) {
    // On the heap, to the byte: a sanitizer sees a read past the end.
    const std::unique_ptr<char[]> bytes(new char[length]);
    whole.copy(bytes.get(), length);
    WireReader reader(absl::string_view(bytes.get(), length));
    WireField field;
    int fields = 0;
    while (reader.Next(&field)) ++fields;
    CHECK(reader.ok() == (length == 0 || length == 137 || length == whole.size()));
    CHECK(fields == (length < 137 ? 0 : length < whole.size() ? 1 : 2));
    CHECK_FALSE(reader.Next(&field));
  }
}

TEST_CASE("wire reader: what is no field", "[model]") {
  const std::string bad[] = {
      std::string("\0\0", 2),                           // number 0
      "\x0b",                                           // a group
      "\x0c",                                           // its end
      "\x0e\x01",                                       // no such type
      "\x80\x80\x80\x80\x10\x01",                       // a number over 2^29
      "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x",  // a length over everything
      "\x08" + std::string(10, '\xff') + "\x01",        // a varint of eleven bytes
  };
  for (const std::string& bytes : bad) {
    WireReader reader(bytes);
    WireField field;
    CHECK_FALSE(reader.Next(&field));
    CHECK_FALSE(reader.ok());
  }
}

TEST_CASE("wire writer: varints of every size come back", "[model]") {
  for (int shift = 0; shift < 64; ++shift) {
    for (const uint64_t value : {uint64_t{1} << shift, (uint64_t{1} << shift) - 1}) {
      char bytes[11] = {0x08};
      const char* const end = WriteVarint(bytes + 1, value);
      CHECK(static_cast<size_t>(end - bytes) == 1 + VarintSize(value));
      WireReader reader(absl::string_view(bytes, static_cast<size_t>(end - bytes)));
      WireField field;
      REQUIRE(reader.Next(&field));
      CHECK(field.value == value);
    }
  }
}

}  // namespace
}  // namespace spantap
