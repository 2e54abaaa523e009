// SPDX-License-Identifier: Apache-2.0
//
// Requests counted and split as bytes, against what protobuf C++ finds in them.
#include <catch2/catch.hpp>

#include "exporter/otlp/otlp_encoder.h"
#include "exporter/otlp/request_wire.h"
#include "tests/exporter/otlp/request_maker.h"
#include "tests/fakes/rounds.h"

namespace spantap {
namespace {

using oracle::Request;

uint64_t Count(const Request& request) {
  uint64_t count = 0;
  for (const auto& group : request.resource_spans()) {
    for (const auto& scope : group.scope_spans()) count += static_cast<uint64_t>(scope.spans_size());
  }
  return count;
}

// What a span came with, and the span: all of that must survive a split.
std::vector<std::string> SpansWithContext(const Request& request) {
  std::vector<std::string> all;
  Request around = request;
  around.clear_resource_spans();
  for (auto group : request.resource_spans()) {
    const auto scopes = group.scope_spans();
    group.clear_scope_spans();
    for (auto scope : scopes) {
      const auto spans = scope.spans();
      scope.clear_spans();
      for (const auto& span : spans) {
        all.push_back(around.SerializeAsString() + group.SerializeAsString() + scope.SerializeAsString() +
                      span.SerializeAsString());
      }
    }
  }
  return all;
}

Request Parse(absl::string_view bytes) {
  Request request;
  REQUIRE(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  return request;
}

void CheckSplit(const Request& request) {
  const std::string bytes = request.SerializeAsString();
  const uint64_t count = Count(request);
  REQUIRE(CountSpans(bytes) == count);
  std::string first = "stale", second = "stale";
  REQUIRE(SplitRequest(bytes, &first, &second) == (count >= 2));
  if (count < 2) return;
  CHECK(CountSpans(first) == (count + 1) / 2);
  CHECK(CountSpans(second) == count / 2);
  std::vector<std::string> joined = SpansWithContext(Parse(first));
  for (std::string& span : SpansWithContext(Parse(second))) joined.push_back(std::move(span));
  CHECK(joined == SpansWithContext(request));
  // Each half is canonical: what protobuf would write of it.
  CHECK(Parse(first).SerializeAsString().size() == first.size());
  CHECK(Parse(second).SerializeAsString().size() == second.size());
}

TEST_CASE("request: counts and halves agree with protobuf", "[otlp]") {
  for (const bool unknown_fields : {false, true}) {
    oracle::RequestMaker maker(7, unknown_fields);
    for (int round = 0; round < Rounds(200); ++round) {
      INFO("unknown fields " << unknown_fields << ", round " << round);
      CheckSplit(maker.Make());
    }
  }
}

TEST_CASE("request: halves of halves down to single spans lose nothing", "[otlp]") {
  oracle::RequestMaker maker(8, true);
  const Request request = maker.Make(6, 40);
  std::vector<std::string> pieces = {request.SerializeAsString()}, spans;
  while (!pieces.empty()) {
    std::string piece = std::move(pieces.back()), first, second;
    pieces.pop_back();
    if (SplitRequest(piece, &first, &second)) {
      pieces.push_back(std::move(second));
      pieces.push_back(std::move(first));
    } else if (CountSpans(piece) == 1u) {
      spans.push_back(SpansWithContext(Parse(piece))[0]);
    }
  }
  CHECK(spans == SpansWithContext(request));
  CHECK(spans.size() > 20);
}

TEST_CASE("request: lengths at every varint border are split", "[otlp]") {
  for (const size_t border : {60u, 120u, 16370u, 2097130u}) {
    for (size_t size = border; size < border + 20; ++size) {
      Request request;
      auto* scope = request.add_resource_spans()->add_scope_spans();
      for (int i = 0; i < 3; ++i) scope->add_spans()->set_name(std::string(size, 'n'));
      scope->set_schema_url("s");
      CheckSplit(request);
    }
  }
}

TEST_CASE("request: what the encoder writes is counted", "[otlp]") {
  oracle::Generator generator(9);
  OtlpEncoder encoder("1");
  std::vector<Span> spans;
  const oracle::TestResource resources[] = {generator.MakeResource(), generator.MakeResource()};
  for (size_t i = 0; i < 100; ++i) {
    oracle::ProtoSpan proto;
    spans.push_back(generator.MakeSpan(&proto));
    spans.back().resource = resources[generator.Below(2)].model;
    CHECK(CountSpans(encoder.Encode(spans)) == spans.size());
  }
  CHECK(CountSpans("") == 0u);
}

TEST_CASE("request: what protobuf refuses is refused, whatever is cut off or changed", "[otlp]") {
  oracle::RequestMaker maker(10, true);
  auto& generator = maker.generator;
  const google::protobuf::LogSilencer silencer;
  int refused = 0;
  for (int round = 0; round < Rounds(1500); ++round) {
    std::string bytes = maker.Make(2, 3).SerializeAsString();
    if (bytes.empty()) continue;
    if (generator.Chance(50)) bytes.resize(generator.Below(bytes.size()));
    for (size_t n = generator.Below(3); n > 0 && !bytes.empty(); --n) {
      bytes[generator.Below(bytes.size())] = static_cast<char>(generator.Below(256));
    }
    const std::optional<uint64_t> count = CountSpans(bytes);
    Request parsed;
    // Protobuf looks into spans as well, so it may refuse more; groups, which it skips, are refused here.
    if (parsed.ParseFromString(bytes) && count) CHECK(*count == Count(parsed));
    std::string first, second;
    if (SplitRequest(bytes, &first, &second)) {
      CHECK(CountSpans(first) == (*count + 1) / 2);
      CHECK(CountSpans(second) == *count / 2);
    }
    refused += count ? 0 : 1;
  }
  CHECK(refused > 200);
  for (const char* bytes : {"<html>", "{}", "\x0a", "\x0a\x05", "\x0a\x02\x12", "\x0a\x03\x12\x05\x01", "\x0b\x0c",
                            "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x07"}) {
    CHECK_FALSE(CountSpans(bytes));
  }
  CHECK_FALSE(CountSpans(absl::string_view("\0\0", 2)));
}

}  // namespace
}  // namespace spantap
