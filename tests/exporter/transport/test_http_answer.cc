// SPDX-License-Identifier: Apache-2.0
//
// The judgement of answers without a network: status, body, Retry-After, limits; and endpoints.
#include <catch2/catch.hpp>

#include "exporter/transport/http_answer.h"
#include "exporter/transport/http_url.h"
#include "exporter/transport/otlp_http.h"
#include "google/rpc/status.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace spantap {
namespace {

using End = HttpAnswer::End;
using Kind = SendResult::Kind;

SendResult Judge(int status, const std::string& body = "", const std::string& header = "", End end = End::kComplete) {
  HttpAnswer answer(64 << 10);
  CHECK(answer.AddHeadLine(header, absl::UnixEpoch()));
  CHECK(answer.AddHeadLine("\r\n", absl::UnixEpoch()));
  CHECK(answer.AddBody(body));
  return answer.Judge(status, end, "some error");
}

std::string Partial(int64_t rejected, const std::string& message) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse response;
  response.mutable_partial_success()->set_rejected_spans(rejected);
  response.mutable_partial_success()->set_error_message(message);
  return response.SerializeAsString();
}

TEST_CASE("answer: only 429, 502, 503 and 504 are retried", "[send]") {
  for (int status = 200; status < 600; ++status) {
    INFO(status);
    const bool retry = status == 429 || status == 502 || status == 503 || status == 504;
    const Kind expected = status < 300 ? Kind::kAcknowledged : retry ? Kind::kRetry : Kind::kDropHttp;
    CHECK(Judge(status).kind == expected);
    CHECK(Judge(status).http_status == status);
    // An error counts as soon as its status line is there.
    if (status >= 300) CHECK(Judge(status, "half", "", End::kBroken).kind == expected);
  }
}

TEST_CASE("answer: partial success", "[send]") {
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

TEST_CASE("answer: success without a valid body is none", "[send]") {
  CHECK(Judge(200, "<html>hello</html>").kind == Kind::kDropResponse);
  CHECK(Judge(200, "<html>hello</html>").message.find("hello") != std::string::npos);
  CHECK(Judge(200, "{}").kind == Kind::kDropResponse);
  CHECK(Judge(200, "", "", End::kBroken).kind == Kind::kRetry);
  CHECK(Judge(0, "", "", End::kBroken).kind == Kind::kRetry);
  CHECK(Judge(100, "", "", End::kBroken).kind == Kind::kRetry);
  CHECK(Judge(0, "", "", End::kGarbage).kind == Kind::kDropResponse);
}

TEST_CASE("answer: limits", "[send]") {
  HttpAnswer body(100);
  CHECK(body.AddBody(std::string(100, '\0')));
  CHECK_FALSE(body.AddBody("x"));
  CHECK(body.Judge(200, End::kBroken, "").kind == Kind::kDropResponse);
  CHECK(body.Judge(503, End::kBroken, "").kind == Kind::kRetry);
  CHECK(body.Judge(400, End::kBroken, "").kind == Kind::kDropHttp);
  HttpAnswer head(100);
  CHECK(head.AddHeadLine(std::string(kMaxAnswerHeadBytes, 'x'), absl::UnixEpoch()));
  CHECK_FALSE(head.AddHeadLine("x", absl::UnixEpoch()));
  CHECK(head.Judge(0, End::kBroken, "").kind == Kind::kDropResponse);
}

TEST_CASE("answer: an error's text reaches the log, one bounded line", "[send]") {
  google::rpc::Status status;
  status.set_message("token\nexpired");
  const SendResult result = Judge(401, status.SerializeAsString(), "Content-Type: application/X-Protobuf\r\n");
  CHECK(result.message == "HTTP 401 (check the Authentication or Authorization header): token expired");
  CHECK(Judge(500, " some\r\n  text\x01 ").message == "HTTP 500: some text");
  CHECK(Judge(500, std::string(60000, 'x')).message.size() < 300);
  CHECK(Judge(500, "\xff\xfe").message == "HTTP 500: \xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(Judge(302).message.find("redirects are not followed") != std::string::npos);
}

TEST_CASE("Retry-After: seconds and the three forms of a date", "[send]") {
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

TEST_CASE("Retry-After: belongs to the last answer only, and to retries only", "[send]") {
  HttpAnswer answer(1000);
  CHECK(answer.AddHeadLine("HTTP/1.1 103 Early Hints\r\n", absl::UnixEpoch()));
  CHECK(answer.AddHeadLine("retry-AFTER: 7\r\n", absl::UnixEpoch()));
  CHECK(answer.Judge(503, End::kComplete, "").retry_after == absl::Seconds(7));
  CHECK_FALSE(answer.Judge(400, End::kComplete, "").retry_after.has_value());
  CHECK(answer.AddHeadLine("HTTP/1.1 503 Busy\r\n", absl::UnixEpoch()));
  CHECK_FALSE(answer.Judge(503, End::kComplete, "").retry_after.has_value());
}

TEST_CASE("endpoint: the path is appended once", "[send]") {
  const std::pair<const char*, const char*> rows[] = {
      {"http://localhost:4318", "http://localhost:4318/v1/traces"},
      {"http://localhost:4318/", "http://localhost:4318/v1/traces"},
      {"HTTP://localhost:4318", "http://localhost:4318/v1/traces"},
      {"https://otel.example.com", "https://otel.example.com/v1/traces"},
      {"http://h/prefix", "http://h/prefix/v1/traces"},
      {"http://h/prefix///", "http://h/prefix/v1/traces"},
      {"http://h:1/v1/traces", "http://h:1/v1/traces"},
      {"http://h:1/adapt_x/api/otlp/v1/traces/", "http://h:1/adapt_x/api/otlp/v1/traces"},
      {"http://h/a?token=x#f", "http://h/a/v1/traces?token=x"},
      {"http://[::1]:4318", "http://[::1]:4318/v1/traces"},
      {"http://user:pass@h", "http://user:pass@h/v1/traces"},
  };
  for (const auto& [endpoint, url] : rows) {
    INFO(endpoint);
    const auto result = TracesUrl(endpoint);
    REQUIRE(result.ok());
    CHECK(*result == url);
  }
}

TEST_CASE("endpoint: what is refused names the accepted form and no secret", "[send]") {
  for (const std::string& bad : std::vector<std::string>{
           "", "localhost:4318", "localhost", "ftp://h", "file:///etc/passwd", "grpc://h:4317", "http://", "http:///x",
           "http://h:99999", "http://h:port", "http://a b", std::string("http://h\0x", 10), "http://h/\r\nX: y",
           "http://h/" + std::string(3000, 'x'), "unix:/run/otel.sock"}) {
    INFO(bad);
    const auto result = TracesUrl(bad);
    REQUIRE_FALSE(result.ok());
    CHECK(std::string(result.status().message()).find("http://HOST:PORT") != std::string::npos);
  }
  CHECK(std::string(TracesUrl("ftp://user:hunter2@h").status().message()).find("hunter2") == std::string::npos);
  CHECK(UrlWithoutSecrets("http://user:hunter2@h:1/p?token=x#y") == "http://h:1/p");
}

TEST_CASE("transport: headers are checked, values are not shown", "[send]") {
  using Headers = std::vector<std::pair<std::string, std::string>>;
  const auto create = [](const Headers& headers) {
    return OtlpHttpTransport::Create({.url = "http://localhost:4318/v1/traces", .headers = headers}).status();
  };
  CHECK(create({}).ok());
  CHECK(create({{"Authentication", "token"}, {"x-empty", ""}, {"x-tab", "a\tb"}}).ok());
  for (const Headers& bad : {Headers{{"", "v"}}, Headers{{"a b", "v"}}, Headers{{"a:", "v"}}, Headers{{"a\r\nb", "v"}},
                             Headers{{"x", "hunter2\r\nInjected: 1"}}, Headers{{"content-TYPE", "hunter2"}},
                             Headers{{"Expect", "100-continue"}}, Headers{{"x", std::string("a\0b", 3)}}}) {
    CHECK_FALSE(create(bad).ok());
    CHECK(std::string(create(bad).message()).find("hunter2") == std::string::npos);
  }
}

}  // namespace
}  // namespace spantap
