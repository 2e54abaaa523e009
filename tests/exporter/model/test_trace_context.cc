// SPDX-License-Identifier: Apache-2.0
//
// W3C Trace Context vectors: the table of the reference (strict column) and the cases of the W3C
// validation suite that a reader of headers can fail.
#include <catch2/catch.hpp>

#include "exporter/model/trace_context.h"

namespace spantap {
namespace {

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kParent[] = "00f067aa0ba902b7";

std::string Value(const std::string& version, const std::string& rest) {
  return version + "-" + kTrace + "-" + kParent + "-" + rest;
}

TEST_CASE("traceparent: valid values", "[model]") {
  struct Row {
    int line;
    std::string value;
    uint8_t flags;
  };
  const Row rows[] = {
      {__LINE__, Value("00", "00"), 0},
      {__LINE__, Value("00", "01"), kFlagSampled},
      {__LINE__, Value("00", "02"), kFlagRandom},
      {__LINE__, Value("00", "03"), kFlagSampled | kFlagRandom},
      {__LINE__, Value("00", "ff"), kFlagSampled | kFlagRandom},  // unknown bits are zeroed
      {__LINE__, Value("00", "08"), 0},
      {__LINE__, Value("cc", "01"), kFlagSampled},
      {__LINE__, Value("cc", "01-"), kFlagSampled},
      {__LINE__, Value("cc", "01-what-the-future-will-be-like"), kFlagSampled},
      {__LINE__, Value("01", "09"), kFlagSampled},
      {__LINE__, Value("fe", "01"), kFlagSampled},
      {__LINE__, " " + Value("00", "01"), kFlagSampled},
      {__LINE__, "\t" + Value("00", "01"), kFlagSampled},
      {__LINE__, Value("00", "01") + " ", kFlagSampled},
      {__LINE__, Value("00", "01") + "\t", kFlagSampled},
      {__LINE__, "\t " + Value("00", "01") + " \t", kFlagSampled},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line << ": " << row.value);
    const auto parent = ParseTraceParent(row.value);
    REQUIRE(parent.has_value());
    CHECK(FormatHex(parent->trace_id) == kTrace);
    CHECK(FormatHex(parent->parent_id) == kParent);
    CHECK(parent->flags == row.flags);
    CHECK(parent->sampled() == ((row.flags & 1) != 0));
  }
}

TEST_CASE("traceparent: values that restart the trace", "[model]") {
  const std::string trace = kTrace, parent = kParent;
  struct Row {
    int line;
    std::string value;
  };
  const Row rows[] = {
      {__LINE__, ""},
      {__LINE__, " "},
      {__LINE__, "00"},
      {__LINE__, Value("00", "01-extra")},
      {__LINE__, Value("00", "01.")},
      {__LINE__, Value("00", "01-")},
      {__LINE__, Value("00", "01 x")},
      {__LINE__, Value("cc", "01.what-the-future-will-not-be-like")},
      {__LINE__, Value("cc", "01x")},
      {__LINE__, Value("ff", "01")},
      {__LINE__, Value("FF", "01")},
      {__LINE__, Value("CC", "01")},
      {__LINE__, Value(".0", "01")},
      {__LINE__, Value("0.", "01")},
      {__LINE__, Value("0", "01")},
      {__LINE__, Value("000", "01")},
      {__LINE__, Value("0000", "01")},
      {__LINE__, Value("", "01")},
      {__LINE__, Value("00", ".0")},
      {__LINE__, Value("00", "0.")},
      {__LINE__, Value("00", "001")},
      {__LINE__, Value("00", "1")},
      {__LINE__, Value("00", "")},
      {__LINE__, Value("00", "0A")},
      {__LINE__, "00-" + std::string(32, '0') + "-" + parent + "-01"},
      {__LINE__, "00-" + trace + "-" + std::string(16, '0') + "-01"},
      {__LINE__, "00-4BF92F3577B34DA6A3CE929D0E0E4736-" + parent + "-01"},
      {__LINE__, "00-" + trace + "-00F067AA0BA902B7-01"},
      {__LINE__, "00-." + trace.substr(1) + "-" + parent + "-01"},
      {__LINE__, "00-" + trace.substr(0, 31) + ".-" + parent + "-01"},
      {__LINE__, "00-" + trace + "-." + parent.substr(1) + "-01"},
      {__LINE__, "00-" + trace.substr(1) + "-" + parent + "-01"},
      {__LINE__, "00-" + trace + "0-" + parent + "-01"},
      {__LINE__, "00-" + trace + "-" + parent.substr(1) + "-01"},
      {__LINE__, "00-" + trace + "-" + parent + "0-01"},
      {__LINE__, "00_" + trace + "_" + parent + "_01"},
      {__LINE__, "00-" + trace + "-" + parent + "_01"},
      {__LINE__, Value("00", "01") + "," + Value("00", "01")},  // two headers, joined
      {__LINE__, "\n" + Value("00", "01")},
      {__LINE__, Value("00", "01") + std::string(1, '\0')},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line << ": " << row.value);
    CHECK_FALSE(ParseTraceParent(row.value).has_value());
  }
}

TEST_CASE("traceparent: no prefix and no single changed byte is taken for something else", "[model]") {
  const std::string good = Value("00", "01");
  for (size_t length = 0; length < good.size(); ++length) {
    CHECK_FALSE(ParseTraceParent(absl::string_view(good).substr(0, length)).has_value());
  }
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'g', '-', 'A', ' ', '\0', '\xff', '/', ':', '`'}) {
      if (good[i] == c) continue;
      std::string bad = good;
      bad[i] = c;
      INFO(i << ": " << bad);
      CHECK_FALSE(ParseTraceParent(bad).has_value());
    }
  }
}

TEST_CASE("tracestate: well-formed values", "[model]") {
  const std::string key256(256, 'k'), value256(256, 'v');
  std::string members32 = "k0=1";
  for (int i = 1; i < 32; ++i) members32 += ",k" + std::to_string(i) + "=1";
  for (const std::string& value : std::vector<std::string>{
           "", " ", ",", "foo=1", "foo=1,bar=2", "foo=1,", "foo=1,,bar=2", "foo=1 \t , \t bar=2, \t baz=3", "0foo=1",
           "foo@tenant=1", "a-b_c*d/e=1", "foo= 1", "foo=a b", "foo=~!#$%", "foo=1,foo=1", key256 + "=1",
           "foo=" + value256, members32, members32 + ","}) {
    INFO(value);
    CHECK(ValidTraceState(value));
  }
}

TEST_CASE("tracestate: ill-formed values", "[model]") {
  std::string members33 = "k0=1";
  for (int i = 1; i < 33; ++i) members33 += ",k" + std::to_string(i) + "=1";
  for (const std::string& value : std::vector<std::string>{"foo",
                                                           "=1",
                                                           "foo=",
                                                           "foo= ",
                                                           "foo =1",
                                                           "FOO=1",
                                                           "foo.bar=1",
                                                           "@foo=1",
                                                           "-foo=1",
                                                           "_foo=1",
                                                           "foo=bar=baz",
                                                           "foo=1,bar",
                                                           "foo=\x7f",
                                                           "foo=a\x01z",
                                                           "foo=a\nb",
                                                           "f\xc3\xb6=1",
                                                           "foo=\xc3\xb6",
                                                           std::string(257, 'k') + "=1",
                                                           "foo=" + std::string(257, 'v'),
                                                           members33,
                                                           "foo=,bar=3"}) {
    INFO(value);
    CHECK_FALSE(ValidTraceState(value));
  }
}

}  // namespace
}  // namespace spantap
