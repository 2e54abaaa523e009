// SPDX-License-Identifier: Apache-2.0
//
// The answers of a collector, and of what is none.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "exporter/model/utf8.h"
#include "exporter/otlp/otlp_decode.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/duration.pb.h"
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
    std::string message;
    RpcStatus status;
    if (DecodeExportResponse(bytes, &rejected, &message)) CHECK(message.size() <= bytes.size() * 3);
    if (DecodeRpcStatus(bytes, &status)) CHECK(status.message.size() <= bytes.size() * 3);
  }
}

// A status with a detail of another type before its RetryInfo.
google::rpc::Status StatusWithDelay(int64_t seconds, int32_t nanos) {
  google::rpc::Status status;
  status.set_code(14);
  status.set_message("try later");
  auto* other = status.add_details();
  other->set_type_url("type.googleapis.com/google.rpc.DebugInfo");
  other->set_value(std::string(5000, '\xff'));
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(seconds);
  info.mutable_retry_delay()->set_nanos(nanos);
  auto* detail = status.add_details();
  detail->set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  detail->set_value(info.SerializeAsString());
  return status;
}

TEST_CASE("status: the text of an error answer", "[otlp]") {
  google::rpc::Status proto;
  proto.set_code(16);
  proto.set_message("no token");
  RpcStatus status;
  REQUIRE(DecodeRpcStatus(proto.SerializeAsString() + std::string("\x22\x02zz", 4), &status));  // 4: unknown
  CHECK(status.message == "no token");
  CHECK_FALSE(status.retry_delay);
  CHECK_FALSE(DecodeRpcStatus("Unauthorized", &status));
}

TEST_CASE("status: our messages are protobuf's Any and Duration on the wire", "[otlp]") {
  google::protobuf::Duration duration;
  duration.set_seconds(3);
  duration.set_nanos(250'000'000);
  google::rpc::RetryInfo info;
  *info.mutable_retry_delay() = google::rpc::RetryInfo::Delay();
  REQUIRE(info.mutable_retry_delay()->ParseFromString(duration.SerializeAsString()));
  google::protobuf::Any any;
  any.PackFrom(info);
  google::rpc::Status proto;
  REQUIRE(proto.add_details()->ParseFromString(any.SerializeAsString()));
  RpcStatus status;
  REQUIRE(DecodeRpcStatus(proto.SerializeAsString(), &status));
  CHECK(status.retry_delay == absl::Milliseconds(3250));
}

TEST_CASE("status: the delay of the first RetryInfo", "[otlp]") {
  RpcStatus status;
  google::rpc::Status proto = StatusWithDelay(2, 500'000'000);
  *proto.add_details() = StatusWithDelay(9, 0).details(1);
  REQUIRE(DecodeRpcStatus(proto.SerializeAsString(), &status));
  CHECK(status.message == "try later");
  CHECK(status.retry_delay == absl::Milliseconds(2500));
  REQUIRE(DecodeRpcStatus(StatusWithDelay(-3, 0).SerializeAsString(), &status));
  CHECK(status.retry_delay == absl::ZeroDuration());
  REQUIRE(DecodeRpcStatus(StatusWithDelay(INT64_MAX, INT32_MAX).SerializeAsString(), &status));
  CHECK(*status.retry_delay > absl::Hours(24 * 365));
  REQUIRE(DecodeRpcStatus(StatusWithDelay(INT64_MIN, INT32_MIN).SerializeAsString(), &status));
  CHECK(status.retry_delay == absl::ZeroDuration());
  proto = StatusWithDelay(1, 0);
  proto.mutable_details(1)->set_value("");  // "retry when you like"
  REQUIRE(DecodeRpcStatus(proto.SerializeAsString(), &status));
  CHECK(status.retry_delay == absl::ZeroDuration());
  for (const char* damaged : {"\x0a\x05\x08", "\xff", "\x0a\x02\x08\xff"}) {
    proto.mutable_details(1)->set_value(damaged);
    REQUIRE(DecodeRpcStatus(proto.SerializeAsString(), &status));
    CHECK(status.message == "try later");
    CHECK_FALSE(status.retry_delay);
  }
}

TEST_CASE("status: many details cost no more than their bytes", "[otlp]") {
  google::rpc::Status proto;
  for (int i = 0; i < 100'000; ++i) proto.add_details()->set_type_url("x");
  *proto.add_details() = StatusWithDelay(4, 0).details(1);
  RpcStatus status;
  REQUIRE(DecodeRpcStatus(proto.SerializeAsString(), &status));
  CHECK(status.retry_delay == absl::Seconds(4));
}

TEST_CASE("export response, JSON: what the specification's answers say", "[otlp]") {
  struct Row {
    int line;
    const char* json;
    bool good;
    int64_t rejected;
    const char* message;
  };
  const Row rows[] = {
      {__LINE__, "", true, 0, ""},
      {__LINE__, "{}", true, 0, ""},
      {__LINE__, " { } \r\n", true, 0, ""},
      {__LINE__, R"({"partialSuccess":{}})", true, 0, ""},
      {__LINE__, R"({"partialSuccess":null})", true, 0, ""},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":"17","errorMessage":"a\nb"}})", true, 17, "a b"},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":17}})", true, 17, ""},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":1.7e1}})", true, 17, ""},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":-2}})", true, -2, ""},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":null,"errorMessage":null}})", true, 0, ""},
      {__LINE__, R"({"x":[{"partialSuccess":{"rejectedSpans":5}},1,[2]],"rejectedSpans":6})", true, 0, ""},
      {__LINE__, R"({"partialSuccess":{"errorMessage":"\u20ac \ud83d\ude00"}})", true, 0,
       "\xe2\x82\xac \xf0\x9f\x98\x80"},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":1.5}})", false, 0, ""},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":true}})", false, 0, ""},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":"many"}})", false, 0, ""},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":[1]}})", false, 0, ""},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":9223372036854775808}})", false, 0, ""},
      {__LINE__, R"({"partialSuccess":{"rejectedSpans":1e400}})", false, 0, ""},
      {__LINE__, R"({"partialSuccess":{"errorMessage":7}})", false, 0, ""},
      {__LINE__, R"({"partialSuccess":{"errorMessage":"\ud800"}})", false, 0, ""},
      {__LINE__, "[]", false, 0, ""},
      {__LINE__, "null", false, 0, ""},
      {__LINE__, "17", false, 0, ""},
      {__LINE__, "\"text\"", false, 0, ""},
      {__LINE__, "<html>", false, 0, ""},
      {__LINE__, "{} {}", false, 0, ""},
      {__LINE__, "{\"partialSuccess\":{", false, 0, ""},
      {__LINE__, "{\"\xff\":1}", false, 0, ""},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    int64_t rejected = 0;
    std::string message;
    CHECK(DecodeExportResponseJson(row.json, &rejected, &message) == row.good);
    if (!row.good) continue;
    CHECK(rejected == row.rejected);
    CHECK(message == row.message);
  }
}

TEST_CASE("status, JSON: text and delay", "[otlp]") {
  RpcStatus status;
  REQUIRE(DecodeRpcStatusJson(R"({"code":14,"message":"later","details":[
      {"@type":"type.googleapis.com/google.rpc.DebugInfo","retryDelay":"1s","stackEntries":["x"]},
      {"retryDelay":"2.250s","@type":"type.googleapis.com/google.rpc.RetryInfo"},
      {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"9s"}]})",
                              &status));
  CHECK(status.message == "later");
  CHECK(status.retry_delay == absl::Milliseconds(2250));
  const std::pair<const char*, std::optional<absl::Duration>> delays[] = {
      {R"(,"retryDelay":"0s")", absl::ZeroDuration()},  {"", absl::ZeroDuration()},
      {R"(,"retryDelay":"-5s")", absl::ZeroDuration()}, {R"(,"retryDelay":"0.000000001s")", absl::Nanoseconds(1)},
      {R"(,"retryDelay":"1h")", std::nullopt},          {R"(,"retryDelay":"inf")", std::nullopt},
      {R"(,"retryDelay":"s")", std::nullopt},
  };
  for (const auto& [field, delay] : delays) {
    INFO(field);
    REQUIRE(DecodeRpcStatusJson(
        absl::StrCat(R"({"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo")", field, "}]}"), &status));
    CHECK(status.retry_delay == delay);
  }
  REQUIRE(DecodeRpcStatusJson(R"({"message":[{}],"details":"none"})", &status));
  CHECK(status.message.empty());
  CHECK_FALSE(DecodeRpcStatusJson("", &status));
  CHECK_FALSE(DecodeRpcStatusJson("Unauthorized", &status));
}

TEST_CASE("answers in JSON: depth and text are bounded", "[otlp]") {
  RpcStatus status;
  CHECK_FALSE(DecodeRpcStatusJson("{\"a\":" + std::string(4 << 20, '['), &status));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK_FALSE(DecodeRpcStatusJson(objects, &status));
  REQUIRE(DecodeRpcStatusJson("{\"message\":\"" + std::string(1 << 20, 'x') + "\"}", &status));
  CHECK(status.message.size() == 512);
}

}  // namespace
}  // namespace spantap
