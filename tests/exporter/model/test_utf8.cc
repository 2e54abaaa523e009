// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "exporter/model/attributes.h"
#include "exporter/model/utf8.h"

namespace spantap {
namespace {

std::string Repaired(const std::string& text) {
  std::string storage;
  return std::string(RepairUtf8(text, &storage));
}

// One code point as UTF-8.
std::string Encode(uint32_t c) {
  std::string out;
  if (c < 0x80) {
    out = {static_cast<char>(c)};
  } else if (c < 0x800) {
    out = {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))};
  } else if (c < 0x10000) {
    out = {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3f)),
           static_cast<char>(0x80 | (c & 0x3f))};
  } else {
    out = {static_cast<char>(0xf0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3f)),
           static_cast<char>(0x80 | (c >> 6 & 0x3f)), static_cast<char>(0x80 | (c & 0x3f))};
  }
  return out;
}

TEST_CASE("utf8: every code point and only these are valid", "[model]") {
  for (uint32_t c = 0; c <= 0x10ffff; ++c) {
    const std::string text = Encode(c);
    const bool surrogate = c >= 0xd800 && c <= 0xdfff;
    if ((ValidUtf8Prefix(text) == text.size()) == surrogate) FAIL("code point " << c);
  }
  CHECK(ValidUtf8Prefix("\xf4\x90\x80\x80") == 0);  // U+110000
  CHECK(ValidUtf8Prefix("\xc0\x80") == 0);          // overlong
  CHECK(ValidUtf8Prefix("\xe0\x9f\xbf") == 0);
  CHECK(ValidUtf8Prefix("\xf0\x8f\xbf\xbf") == 0);
}

TEST_CASE("utf8: repair replaces maximal subparts (Unicode 15, table 3-8 and 3-11)", "[model]") {
  const std::string r = "\xEF\xBF\xBD";
  CHECK(Repaired("") == "");
  CHECK(Repaired("plain ascii, longer than eight") == "plain ascii, longer than eight");
  CHECK(Repaired("a\xff z") == "a" + r + " z");
  CHECK(Repaired("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41") == r + r + r + r + r + r + r + r + "A");
  CHECK(Repaired("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41") == r + r + r + r + r + r + r + r + "A");
  CHECK(Repaired("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42") == r + r + r + r + r + "A" + r + r + "B");
  CHECK(Repaired("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41") == r + r + r + r + "A");
  CHECK(Repaired("abc\xe2\x82") == "abc" + r);  // cut inside a character
  CHECK(Repaired("12345678\xe2\x82\xac") == "12345678\xe2\x82\xac");
}

TEST_CASE("utf8: repair copies nothing that is valid", "[model]") {
  const std::string text = "gr\xc3\xbc\xc3\x9f";
  std::string storage = "untouched";
  const absl::string_view out = RepairUtf8(text, &storage);
  CHECK(out.data() == text.data());
  CHECK(storage == "untouched");
}

TEST_CASE("utf8: repair of random bytes is valid and idempotent", "[model]") {
  uint32_t state = 1;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (int i = 0; i < 24; ++i) {
      state = state * 1664525 + 1013904223;
      // Lead bytes, continuation bytes and ASCII in about equal parts.
      static constexpr uint8_t kBytes[] = {'a', 0x80, 0xbf, 0xc2, 0xe0, 0xa0, 0xed, 0x9f, 0xf0, 0x90, 0xf4, 0xff};
      text.push_back(static_cast<char>(kBytes[(state >> 16) % sizeof(kBytes)]));
    }
    const std::string once = Repaired(text);
    REQUIRE(ValidUtf8Prefix(once) == once.size());
    REQUIRE(Repaired(once) == once);
  }
}

TEST_CASE("utf8: a cut keeps whole characters", "[model]") {
  const std::string text = "a\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80z";  // 1 + 2 + 3 + 4 + 1 bytes
  const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
  for (size_t max = 0; max <= 11; ++max) CHECK(CutUtf8(text, max).size() == expected[max]);
  CHECK(CutUtf8(text, 100).size() == text.size());
  CHECK(CutUtf8(std::string(100, '\x80'), 50).size() == 50);  // no text at all: still bounded
}

}  // namespace
}  // namespace spantap
