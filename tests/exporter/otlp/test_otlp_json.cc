// SPDX-License-Identifier: Apache-2.0
//
// The JSON of a request, read back by json_reading.h and compared with the message it was made from.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "exporter/model/utf8.h"
#include "exporter/otlp/otlp_encoder.h"
#include "exporter/otlp/otlp_json.h"
#include "tests/exporter/otlp/json_reading.h"
#include "tests/exporter/otlp/request_maker.h"
#include "tests/fakes/rounds.h"

namespace spantap {
namespace {

using oracle::Request;

std::string ToJson(const std::string& bytes) {
  std::string json = "stale";
  REQUIRE(RequestToJson(bytes, &json));
  return json;
}

TEST_CASE("json: random requests come back as they were", "[otlp]") {
  for (const bool unknown_fields : {false, true}) {
    oracle::RequestMaker maker(21, unknown_fields);
    for (int round = 0; round < Rounds(100); ++round) {
      INFO("unknown fields " << unknown_fields << ", round " << round);
      Request request = maker.Make();
      const Request read = oracle::ReadRequest(ToJson(request.SerializeAsString()));
      request.DiscardUnknownFields();
      if (read.SerializeAsString() == request.SerializeAsString()) continue;
      CHECK(read.DebugString() == request.DebugString());
      FAIL("the messages differ");
    }
  }
}

TEST_CASE("json: what the encoder writes", "[otlp]") {
  oracle::Generator generator(22);
  OtlpEncoder encoder("1");
  std::string json;  // used again
  for (int round = 0; round < 100; ++round) {
    std::vector<Span> spans;
    const oracle::TestResource resource = generator.MakeResource();
    for (size_t n = 1 + generator.Below(20); n > 0; --n) {
      oracle::ProtoSpan proto;
      spans.push_back(generator.MakeSpan(&proto));
      spans.back().resource = resource.model;
    }
    const absl::string_view encoded = encoder.Encode(spans);
    REQUIRE(RequestToJson(encoded, &json));
    CHECK(oracle::ReadRequest(json).SerializeAsString() == encoded);
  }
}

TEST_CASE("json: the specification's forms, to the letter", "[otlp]") {
  std::vector<Span> spans(1);
  Span& span = spans[0];
  for (size_t i = 0; i < 16; ++i) span.trace_id.bytes[i] = static_cast<uint8_t>(0xa0 + i);
  for (size_t i = 0; i < 8; ++i) span.span_id.bytes[i] = static_cast<uint8_t>(i + 1);
  span.kind = SpanKind::kServer;
  span.start_unix_ns = 1'544'712'660'000'000'000;
  span.name = "I'm a \"span\"\\\n\x01\xff";
  span.attributes.AddInt("int", -9007199254740993);
  span.attributes.AddDouble("nan", std::nan(""));
  span.attributes.AddDouble("inf", -HUGE_VAL);
  span.attributes.AddDouble("half", 0.5);
  span.attributes.AddDouble("zero", -0.0);
  span.attributes.AddBool("bool", false);
  span.attributes.AddBytes("bytes", "\xff\xfe\xfd\xfc");
  span.attributes.AddIntArray("empty", {});
  span.status = StatusCode::kError;
  const std::string json = ToJson(std::string(OtlpEncoder("2").Encode(spans)));
  CHECK(json == R"({"resourceSpans":[{"scopeSpans":[{"scope":{"name":"spantap","version":"2"},"spans":[{)"
                R"("traceId":"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf","spanId":"0102030405060708",)"
                "\"name\":\"I'm a \\\"span\\\"\\\\\\n\\u0001\xEF\xBF\xBD\","
                R"("kind":2,"startTimeUnixNano":"1544712660000000000","attributes":[)"
                R"({"key":"int","value":{"intValue":"-9007199254740993"}},{"key":"nan","value":{"doubleValue":"NaN"}},)"
                R"({"key":"inf","value":{"doubleValue":"-Infinity"}},{"key":"half","value":{"doubleValue":0.5}},)"
                R"({"key":"zero","value":{"doubleValue":-0.0}},)"
                R"({"key":"bool","value":{"boolValue":false}},{"key":"bytes","value":{"bytesValue":"//79/A=="}},)"
                R"({"key":"empty","value":{"arrayValue":{}}}],"status":{"code":2},"flags":256}]}]}]})");
  CHECK(ToJson("") == "{}");
}

TEST_CASE("json: every byte in a text, at every place of a word", "[otlp]") {
  for (int c = 0; c < 256; ++c) {
    for (size_t before = 0; before < 9; ++before) {
      const std::string text = std::string(before, 'a') + static_cast<char>(c) + "bcdefghijk";
      // Protobuf's C++ only logs at what is no UTF-8 when it writes, as long as it is not asked to read it.
      const std::string bytes = absl::StrCat("\x0a", std::string(1, static_cast<char>(text.size() + 2)), "\x1a",
                                             std::string(1, static_cast<char>(text.size())), text);
      const auto json = oracle::Json::parse(ToJson(bytes));
      CHECK(json["resourceSpans"][0]["schemaUrl"] == (c < 0x80 ? text
                                                               : std::string(before, 'a') + "\xEF\xBF\xBD"
                                                                                            "bcdefghijk"));
    }
  }
}

TEST_CASE("json: single fields in any order, the last one counts; wrong types are unknown", "[otlp]") {
  // A span: flags, name "b", name "a", kind as fixed32 (unknown), attributes around a name, status code.
  const std::string attribute("\x4a\x03\x0a\x01k", 5);
  const std::string span = std::string("\x85\x01\x07\x00\x00\x00", 6) +
                           "\x2a\x01"
                           "b" +
                           attribute +
                           "\x2a\x01"
                           "a" +
                           std::string("\x35\x01\x00\x00\x00", 5) + attribute + "\x7a\x02\x18\x01";
  const auto size = [](size_t n) { return std::string(1, static_cast<char>(n)); };
  const std::string request =
      "\x0a" + size(span.size() + 4) + "\x12" + size(span.size() + 2) + "\x12" + size(span.size()) + span;
  CHECK(ToJson(request) ==
        R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a","attributes":[{"key":"k"},{"key":"k"}],)"
        R"("status":{"code":1},"flags":7}]}]}]})");
}

TEST_CASE("json: values in values are kept to a depth", "[otlp]") {
  for (const bool lists : {false, true}) {
    Request request;
    auto* any = request.add_resource_spans()->mutable_resource()->add_attributes()->mutable_value();
    for (int i = 0; i < 30; ++i) {
      any =
          lists ? any->mutable_kvlist_value()->add_values()->mutable_value() : any->mutable_array_value()->add_values();
    }
    any->set_bool_value(true);
    CHECK(oracle::ReadRequest(ToJson(request.SerializeAsString())).SerializeAsString() == request.SerializeAsString());
  }
  // Two thousand levels, lengths in five bytes each, as only a hostile writer has them.
  const auto field = [](char tag, const std::string& body) {
    std::string bytes(1, tag);
    for (int k = 0; k < 5; ++k) bytes += static_cast<char>((body.size() >> 7 * k & 0x7f) | (k < 4 ? 0x80 : 0));
    return bytes + body;
  };
  std::string deep;
  for (int i = 0; i < 2000; ++i) deep = field('\x2a', field('\x0a', deep));
  Request request;
  auto* value = request.add_resource_spans()->mutable_resource()->add_attributes()->mutable_value();
  value->GetReflection()->MutableUnknownFields(value)->AddLengthDelimited(5, deep.substr(6));
  const std::string json = ToJson(request.SerializeAsString());
  CHECK(json.size() < 2000);
  CHECK(oracle::Json::parse(json).is_object());
}

TEST_CASE("json: hostile bytes give JSON of bounded size or are refused", "[otlp]") {
  oracle::RequestMaker maker(23, true);
  auto& generator = maker.generator;
  int refused = 0;
  std::string json;
  for (int round = 0; round < Rounds(1500); ++round) {
    std::string bytes = maker.Make(2, 3).SerializeAsString();
    if (generator.Chance(20) && !bytes.empty()) bytes.resize(generator.Below(bytes.size()));
    for (size_t n = generator.Below(4); n > 0 && !bytes.empty(); --n) {
      bytes[generator.Below(bytes.size())] = static_cast<char>(generator.Below(256));
    }
    if (!RequestToJson(bytes, &json)) {
      ++refused;
      continue;
    }
    CHECK(json.size() <= 10 * bytes.size() + 64);
    CHECK(ValidUtf8Prefix(json) == json.size());
    if (!oracle::Json::accept(json)) FAIL(json);
  }
  CHECK(refused > 200);
  for (const char* bytes : {"<html>", "\x0a", "\x0a\x05", "\x0a\x02\x12\x01", "\x0b\x0c"}) {
    CHECK_FALSE(RequestToJson(bytes, &json));
  }
}

}  // namespace
}  // namespace spantap
