// SPDX-License-Identifier: Apache-2.0
//
// The judgement of answers without a network: status, body, Retry-After, limits, hints.
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "exporter/transport/http_answer.h"
#include "google/rpc/status.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace spantap {
namespace {

using End = CurlExchange::Outcome::End;
using Kind = SendResult::Kind;

absl::Time Epoch() { return absl::UnixEpoch(); }

CurlExchange::Outcome Outcome(int status, End end = End::kComplete) {
  CurlExchange::Outcome outcome;
  outcome.end = end;
  outcome.http_status = status;
  if (end != End::kComplete) outcome.cause = "some error";
  return outcome;
}

SendResult Judge(int status, const std::string& body = "", const std::string& header = "", End end = End::kComplete,
                 const HttpAnswer::Request& request = {}) {
  HttpAnswer answer(request, Epoch);
  CHECK(answer.AddHeadLine(header));
  CHECK(answer.AddHeadLine("\r\n"));
  CHECK(answer.AddBody(body));
  return answer.Judge(Outcome(status, end));
}

std::string Partial(int64_t rejected, const std::string& message) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse response;
  response.mutable_partial_success()->set_rejected_spans(rejected);
  response.mutable_partial_success()->set_error_message(message);
  return response.SerializeAsString();
}

TEST_CASE("answer: only 429, 502, 503 and 504 are retried", "[transport]") {
  for (int status = 200; status < 600; ++status) {
    INFO(status);
    const bool retry = status == 429 || status == 502 || status == 503 || status == 504;
    const Kind expected = status < 300    ? Kind::kAcknowledged
                          : retry         ? Kind::kRetry
                          : status == 413 ? Kind::kTooLarge
                                          : Kind::kDropHttp;
    CHECK(Judge(status).kind == expected);
    CHECK(Judge(status).http_status == status);
    // An error counts as soon as its status line is there.
    if (status >= 300) CHECK(Judge(status, "half", "", End::kBroken).kind == expected);
  }
}

TEST_CASE("answer: partial success", "[transport]") {
  SendResult result = Judge(200, Partial(3, "no thanks"));
  CHECK(result.kind == Kind::kAcknowledged);
  CHECK(result.rejected == 3);
  CHECK(result.message == "no thanks");
  result = Judge(200, Partial(0, "a warning"));
  CHECK(result.rejected == 0);
  CHECK(result.message == "a warning");
  CHECK(Judge(200, Partial(-5, "")).rejected == 0);
  CHECK(Judge(200, Partial(INT64_MIN, "")).rejected == 0);
}

TEST_CASE("answer: success without a valid body is none", "[transport]") {
  CHECK(Judge(200, "<html>hello</html>").kind == Kind::kDropResponse);
  CHECK(Judge(200, "<html>hello</html>").message.find("hello") != std::string::npos);
  CHECK(Judge(200, "", "", End::kBroken).kind == Kind::kRetry);
  CHECK(Judge(0, "", "", End::kBroken).kind == Kind::kRetry);
  CHECK(Judge(100, "", "", End::kBroken).kind == Kind::kRetry);
  CHECK(Judge(0, "", "", End::kGarbage).kind == Kind::kDropResponse);
}

TEST_CASE("answer: success in the form that its content type says, or else in either", "[transport]") {
  const std::string json = R"({"partialSuccess":{"rejectedSpans":"2","errorMessage":"two"}})";
  const std::string type_json = "Content-Type: Application/JSON; charset=utf-8\r\n";
  const std::string type_protobuf = "Content-Type: application/x-protobuf\r\n";
  for (const Protocol protocol : {Protocol::kHttpProtobuf, Protocol::kHttpJson}) {
    const HttpAnswer::Request request = {protocol};
    for (const std::string& header : {std::string(), type_json, std::string("Content-Type: text/plain\r\n")}) {
      const SendResult result = Judge(200, json, header, End::kComplete, request);
      CHECK(result.kind == Kind::kAcknowledged);
      CHECK(result.rejected == 2);
      CHECK(result.message == "two");
      CHECK(Judge(200, "{}", header, End::kComplete, request).kind == Kind::kAcknowledged);
      CHECK(Judge(200, "", header, End::kComplete, request).kind == Kind::kAcknowledged);
    }
    CHECK(Judge(200, Partial(2, "two"), type_protobuf, End::kComplete, request).rejected == 2);
    CHECK(Judge(200, json, type_protobuf, End::kComplete, request).kind == Kind::kDropResponse);
    CHECK(Judge(200, Partial(2, "two"), type_json, End::kComplete, request).kind == Kind::kDropResponse);
  }
  CHECK(Judge(200, Partial(2, "two")).rejected == 2);
}

TEST_CASE("answer: hints that need to know what was asked", "[transport]") {
  HttpAnswer::Request gzip;
  gzip.coding = "gzip";
  CHECK(absl::StrContains(Judge(400, "", "", End::kComplete, gzip).message, "may not take gzip"));
  CHECK(Judge(400).message == "HTTP 400");
  CHECK(absl::StrContains(Judge(400, "Client sent an HTTP request to an HTTPS server.").message, "use https://"));
  CHECK(absl::StrContains(Judge(415).message, "does not take http/protobuf)"));
  CHECK(absl::StrContains(Judge(415, "", "", End::kComplete, gzip).message, "does not take http/protobuf or gzip)"));
  CHECK(absl::StrContains(Judge(404).message, "/v1/traces"));
  CHECK(absl::StrContains(Judge(403).message, "Authentication"));
  CHECK(absl::StrContains(Judge(405).message, "OTLP/HTTP port"));
  CHECK(absl::StrContains(Judge(407).message, "proxy"));
  CHECK(absl::StrContains(Judge(413).message, "limit"));
  CHECK(absl::StrContains(Judge(429).message, "asks for less"));
}

TEST_CASE("answer: limits", "[transport]") {
  HttpAnswer::Request small;
  small.max_body_bytes = 100;
  HttpAnswer body(small, Epoch);
  CHECK(body.AddBody(std::string(100, '\0')));
  CHECK_FALSE(body.AddBody("x"));
  CHECK(body.Judge(Outcome(200, End::kBroken)).kind == Kind::kDropResponse);
  CHECK(body.Judge(Outcome(503, End::kBroken)).kind == Kind::kRetry);
  CHECK(body.Judge(Outcome(400, End::kBroken)).kind == Kind::kDropHttp);
  CHECK(body.Judge(Outcome(413, End::kBroken)).kind == Kind::kTooLarge);
  HttpAnswer head(small, Epoch);
  CHECK(head.AddHeadLine(std::string(kMaxAnswerHeadBytes, 'x')));
  CHECK_FALSE(head.AddHeadLine("x"));
  CHECK(head.Judge(Outcome(0, End::kBroken)).kind == Kind::kDropResponse);
}

TEST_CASE("answer: an error's text reaches the log, one bounded line", "[transport]") {
  google::rpc::Status status;
  status.set_message("token\nexpired");
  const SendResult result = Judge(401, status.SerializeAsString(), "Content-Type: application/X-Protobuf\r\n");
  CHECK(result.message == "HTTP 401 (check the Authentication or Authorization header): token expired");
  CHECK(Judge(500, R"({"code":13,"message":"json text"})", "Content-Type: application/json\r\n").message ==
        "HTTP 500: json text");
  CHECK(Judge(500, "{broken", "Content-Type: application/json\r\n").message == "HTTP 500: {broken");
  CHECK(Judge(500, " some\r\n  text\x01 ").message == "HTTP 500: some text");
  CHECK(Judge(500, std::string(60000, 'x')).message.size() < 300);
  CHECK(Judge(500, "\xff\xfe").message == "HTTP 500: \xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(Judge(302).message.find("redirects are not followed") != std::string::npos);
}

TEST_CASE("Retry-After: seconds and the three forms of a date", "[transport]") {
  const absl::Time now = absl::FromUnixSeconds(784111777 - 20);  // 20 s before the date below
  CHECK(ParseRetryAfter("2", now) == absl::Seconds(2));
  CHECK(ParseRetryAfter(" 120\r\n", now) == absl::Seconds(120));
  CHECK(ParseRetryAfter("0", now) == absl::ZeroDuration());
  CHECK(ParseRetryAfter("1000000000", now) == absl::Seconds(1000000000));
  CHECK(ParseRetryAfter(std::string(40, '9'), now) == absl::InfiniteDuration());
  CHECK(ParseRetryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now) == absl::Seconds(20));
  CHECK(ParseRetryAfter("Sunday, 06-Nov-94 08:49:37 GMT", now) == absl::Seconds(20));
  CHECK(ParseRetryAfter("Sun Nov  6 08:49:37 1994", now) == absl::Seconds(20));
  CHECK(ParseRetryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now + absl::Hours(1)) == absl::ZeroDuration());
  for (const char* bad : {"", "-1", "1.5", "soon", "+3", "0x10", "Sun, 99 Nov 1994 08:49:37 GMT"}) {
    INFO(bad);
    CHECK_FALSE(ParseRetryAfter(bad, now).has_value());
  }
}

TEST_CASE("Retry-After: belongs to the last answer only, and to retries only", "[transport]") {
  HttpAnswer answer({}, Epoch);
  CHECK(answer.AddHeadLine("HTTP/1.1 103 Early Hints\r\n"));
  CHECK(answer.AddHeadLine("retry-AFTER: 7\r\n"));
  CHECK(answer.Judge(Outcome(503)).retry_after == absl::Seconds(7));
  CHECK_FALSE(answer.Judge(Outcome(400)).retry_after.has_value());
  CHECK(answer.AddHeadLine("HTTP/1.1 503 Busy\r\n"));
  CHECK_FALSE(answer.Judge(Outcome(503)).retry_after.has_value());
}

}  // namespace
}  // namespace spantap
