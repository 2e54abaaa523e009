// SPDX-License-Identifier: Apache-2.0
//
// The answers of a collector, and of what is none.
#include <catch2/catch.hpp>

#include "exporter/model/utf8.h"
#include "exporter/otlp/otlp_encoder.h"
#include "google/rpc/status.pb.h"
#include "tests/exporter/otlp/oracle.h"

namespace spantap {
namespace {

TEST_CASE("export response: equal to protobuf's reading", "[otlp]") {
  oracle::Generator generator(1);
  for (int round = 0; round < 3000; ++round) {
    oracle::Response response;
    const int64_t rejected_expected = static_cast<int64_t>(generator.Number()) * (generator.Chance(30) ? -1 : 1);
    std::string text = generator.Chance(80) ? generator.Text(60) : "";
    for (char& c : text) c = static_cast<uint8_t>(c) < 0x20 || c == 0x7f ? '.' : c;
    if (generator.Chance(90)) {
      response.mutable_partial_success()->set_rejected_spans(rejected_expected);
      response.mutable_partial_success()->set_error_message(text);
    }
    std::string bytes = response.SerializeAsString();
    if (generator.Chance(30)) bytes += std::string("\x7a\x03xyz\x80\x01\x05", 8);  // unknown fields 15 and 16
    int64_t rejected = 99;
    std::string message = "stale";
    REQUIRE(DecodeExportResponse(bytes, &rejected, &message));
    CHECK(rejected == response.partial_success().rejected_spans());
    CHECK(message == response.partial_success().error_message());
  }
}

TEST_CASE("export response: empty is complete success", "[otlp]") {
  int64_t rejected = 99;
  std::string message = "stale";
  REQUIRE(DecodeExportResponse("", &rejected, &message));
  CHECK(rejected == 0);
  CHECK(message.empty());
}

TEST_CASE("export response: other content is refused", "[otlp]") {
  int64_t rejected;
  std::string message;
  for (const char* text :
       {"<html>", "{}", "{\"partialSuccess\":{}}", "OK", "404 page not found\n", "HTTP/1.1 200 OK"}) {
    INFO(text);
    CHECK_FALSE(DecodeExportResponse(text, &rejected, &message));
  }
  oracle::Response response;
  response.mutable_partial_success()->set_rejected_spans(300);
  response.mutable_partial_success()->set_error_message("some text");
  const std::string whole = response.SerializeAsString();
  for (size_t length = 1; length < whole.size(); ++length) {
    CHECK_FALSE(DecodeExportResponse(absl::string_view(whole).substr(0, length), &rejected, &message));
  }
}

TEST_CASE("export response: a hostile message is bounded and made one line of UTF-8", "[otlp]") {
  oracle::Response response;
  response.mutable_partial_success()->set_error_message("line\r\nnext\x1b[31m");
  int64_t rejected;
  std::string message;
  REQUIRE(DecodeExportResponse(response.SerializeAsString(), &rejected, &message));
  CHECK(message == "line  next [31m");
  response.mutable_partial_success()->set_error_message(std::string(3 << 20, 'x'));
  REQUIRE(DecodeExportResponse(response.SerializeAsString(), &rejected, &message));
  CHECK(message.size() == 512);
  // As bytes, because protobuf would not build it: field 1 { field 2: 600 times 0xff }.
  const std::string raw = std::string("\x0a\xdb\x04\x12\xd8\x04", 6) + std::string(600, '\xff');
  REQUIRE(DecodeExportResponse(raw, &rejected, &message));
  CHECK(message.size() <= 512);
  CHECK(ValidUtf8Prefix(message) == message.size());
}

TEST_CASE("export response: random bytes never do harm", "[otlp]") {
  oracle::Generator generator(2);
  for (int round = 0; round < 200000; ++round) {
    std::string bytes(generator.Below(24), '\0');
    for (char& c : bytes) c = static_cast<char>(generator.Chance(60) ? generator.Below(24) : generator.Below(256));
    int64_t rejected = 0;
    std::string message, status;
    if (DecodeExportResponse(bytes, &rejected, &message)) CHECK(message.size() <= bytes.size() * 3);
    if (DecodeStatusMessage(bytes, &status)) CHECK(status.size() <= bytes.size() * 3);
  }
}

TEST_CASE("status: the text of an error answer", "[otlp]") {
  google::rpc::Status status;
  status.set_code(16);
  status.set_message("no token");
  std::string message;
  REQUIRE(DecodeStatusMessage(status.SerializeAsString() + std::string("\x1a\x02zz", 4), &message));  // 3: details
  CHECK(message == "no token");
  CHECK_FALSE(DecodeStatusMessage("Unauthorized", &message));
}

}  // namespace
}  // namespace spantap
