// SPDX-License-Identifier: Apache-2.0
//
// The quick way from a record's attributes to the wire form against the slow one: the same bytes, whatever the list.
#include <bit>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "exporter/intake/attribute_decoder.h"
#include "record_maker.h"

namespace spantap {
namespace {

using namespace handoff_test;

struct Slow {
  std::string bytes;
  uint32_t count, unknown;
};

Slow BySlowWay(const std::string& list, size_t count, QueryValues values) {
  ByteCursor cursor(list);
  RecordAttributes attributes;
  AttributeBlob blob;
  REQUIRE(attributes.Read(cursor, count));
  attributes.AppendTo(values, &blob);
  return {std::string(blob.bytes()), blob.count(), attributes.unknown()};
}

class Lists {
 public:
  explicit Lists(uint32_t seed) : random_(seed) {}

  std::string Any(size_t* count) {
    std::string list;
    *count = Below(20);
    for (size_t i = 0; i < *count; ++i) list += One();
    return list;
  }

 private:
  size_t Below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  std::string Value() {
    static const char* const kSpecial[] = {"",
                                           "\xff",
                                           "\xe2\x82\xac",
                                           "http://u:p@h:1/x?sig=s",
                                           "a=1&sig=secret;b",
                                           "/p?q=1",
                                           "\x80\x80\x80\x80\x80\x80\x80\x80"};
    if (Below(4) == 0) return kSpecial[Below(7)];
    std::string text(Below(Below(10) == 0 ? 5000 : 40), 'x');
    if (!text.empty() && Below(8) == 0) text[Below(text.size())] = static_cast<char>(0x80 + Below(0x80));
    return text;
  }

  std::string One() {
    static const char* const kNames[] = {"http.route", "n",           "url.query", "http.url",
                                         "\xc3(",      "http.target", "component", "http.request.header.x-request-id"};
    const bool named = Below(4) == 0;
    const std::string name = !named ? "" : Below(6) == 0 ? std::string(255, '\xfe') : kNames[Below(8)];
    const auto key = static_cast<uint16_t>(named ? 0 : 1 + Below(SPANTAP_KEY_COUNT_ + 2));
    switch (Below(6)) {
      case 0:
        return Attr(key, SPANTAP_INT, name, BytesOf(static_cast<int64_t>(random_()) << Below(32)));
      case 1:
        return Attr(key, SPANTAP_DOUBLE, name, BytesOf(0.1 * static_cast<double>(random_())));
      case 2:
        return Attr(key, SPANTAP_BOOL, name, BytesOf(int64_t{Below(3) != 0}));
      default:
        return Attr(key, SPANTAP_STRING, name, Value());
    }
  }

  std::mt19937 random_;
};

TEST_CASE("attribute decoder: the quick way writes what the slow one does", "[handoff]") {
  Lists lists(7);
  for (const QueryValues values : {QueryValues::kRedacted, QueryValues::kNone}) {
    AttributeDecoder decoder(values);  // one for all: nothing of a list is left for the next
    for (int i = 0; i < 4000; ++i) {
      size_t count = 0;
      const std::string list = lists.Any(&count);
      const Slow slow = BySlowWay(list, count, values);
      ByteCursor cursor(list);
      AttributeBlob blob;
      uint32_t dropped = 1;
      REQUIRE(decoder.Decode(cursor, count, &blob, &dropped));
      REQUIRE(cursor.left() == 0);
      REQUIRE(blob.bytes() == slow.bytes);
      REQUIRE(blob.count() == slow.count);
      REQUIRE(dropped == 1 + slow.unknown);
    }
  }
}

TEST_CASE("attribute decoder: cut off anywhere it is no list", "[handoff]") {
  const std::string list = Text(SPANTAP_KEY_HTTP_ROUTE, "/a") + Number(SPANTAP_KEY_SERVER_PORT, 80) + Named("n", "v");
  AttributeDecoder decoder(QueryValues::kRedacted);
  for (size_t size = 0; size <= list.size(); ++size) {
    ByteCursor cursor(absl::string_view(list).substr(0, size));
    AttributeBlob blob;
    uint32_t dropped = 0;
    CHECK(decoder.Decode(cursor, 3, &blob, &dropped) == (size == list.size()));
  }
  ByteCursor cursor(list);
  AttributeBlob blob;
  uint32_t dropped = 0;
  CHECK_FALSE(decoder.Decode(cursor, 2, list.size(), &blob, &dropped));
  ByteCursor many(list);
  CHECK_FALSE(decoder.Decode(many, RecordAttributes::kMaxAttributes + 1, &blob, &dropped));
}

}  // namespace
}  // namespace spantap
