// SPDX-License-Identifier: Apache-2.0
//
// The judgement of gRPC answers without a network: statuses, message frame, RetryInfo, limits, every split.
#include <catch2/catch.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exporter/model/utf8.h"
#include "exporter/transport/compress.h"
#include "exporter/transport/grpc_answer.h"
#include "tests/exporter/transport/grpc_bytes.h"

namespace spantap {
namespace {

using End = CurlExchange::Outcome::End;
using Kind = SendResult::Kind;

constexpr size_t kLimit = 1000;
const std::vector<std::string> kGrpcHead = {"HTTP/2 200 \r\n", "content-type: application/grpc\r\n", "\r\n"};

CurlExchange::Outcome Outcome(int http_status, End end = End::kComplete, const std::string& cause = "") {
  CurlExchange::Outcome outcome;
  outcome.http_status = http_status;
  outcome.end = end;
  outcome.cause = cause;
  return outcome;
}

// A head, a body and trailers, in full.
SendResult Judge(const std::vector<std::string>& head, const std::string& body,
                 const std::vector<std::string>& trailers, const CurlExchange::Outcome& outcome = Outcome(200)) {
  GrpcAnswer answer(kLimit);
  for (const std::string& line : head) CHECK(answer.AddHeadLine(line));
  CHECK(answer.AddBody(body));
  for (const std::string& line : trailers) CHECK(answer.AddHeadLine(line + "\r\n"));
  return answer.Judge(outcome);
}

SendResult JudgeStatus(const std::string& status, const std::vector<std::string>& more = {}, End end = End::kComplete) {
  std::vector<std::string> trailers = {"grpc-status: " + status};
  trailers.insert(trailers.end(), more.begin(), more.end());
  return Judge(kGrpcHead, GrpcMessage(""), trailers, Outcome(200, end, "reset"));
}

SendResult JudgeHttp(int status, const std::string& version = "HTTP/2", End end = End::kComplete) {
  return Judge({absl::StrCat(version, " ", status, " \r\n"), "content-type: text/html\r\n", "\r\n"}, "<html>", {},
               Outcome(status, end, "cut"));
}

TEST_CASE("grpc answer: which statuses are retried", "[transport]") {
  const struct {
    int line, status;
    Kind kind;
    const char* name;
  } rows[] = {
      {__LINE__, 0, Kind::kAcknowledged, ""},
      {__LINE__, 1, Kind::kRetry, "CANCELLED"},
      {__LINE__, 2, Kind::kDropGrpc, "UNKNOWN"},
      {__LINE__, 3, Kind::kDropGrpc, "INVALID_ARGUMENT"},
      {__LINE__, 4, Kind::kRetry, "DEADLINE_EXCEEDED"},
      {__LINE__, 5, Kind::kDropGrpc, "NOT_FOUND"},
      {__LINE__, 6, Kind::kDropGrpc, "ALREADY_EXISTS"},
      {__LINE__, 7, Kind::kDropGrpc, "PERMISSION_DENIED"},
      {__LINE__, 8, Kind::kTooLarge, "RESOURCE_EXHAUSTED"},
      {__LINE__, 9, Kind::kDropGrpc, "FAILED_PRECONDITION"},
      {__LINE__, 10, Kind::kRetry, "ABORTED"},
      {__LINE__, 11, Kind::kRetry, "OUT_OF_RANGE"},
      {__LINE__, 12, Kind::kDropGrpc, "UNIMPLEMENTED"},
      {__LINE__, 13, Kind::kDropGrpc, "INTERNAL"},
      {__LINE__, 14, Kind::kRetry, "UNAVAILABLE"},
      {__LINE__, 15, Kind::kRetry, "DATA_LOSS"},
      {__LINE__, 16, Kind::kDropGrpc, "UNAUTHENTICATED"},
  };
  for (const auto& row : rows) {
    INFO("line " << row.line);
    const SendResult result = JudgeStatus(absl::StrCat(row.status), {"grpc-message: because"});
    CHECK(result.kind == row.kind);
    CHECK(result.grpc_status == row.status);
    CHECK(result.http_status == 200);
    CHECK(absl::StrContains(result.message, row.name));
    CHECK(absl::StrContains(result.message, row.status == 0 ? "" : ": because"));
    CHECK_FALSE(result.retry_after.has_value());
    // An error status counts however the stream ends; trailers-only says the same as trailers.
    if (row.status == 0) continue;
    CHECK(JudgeStatus(absl::StrCat(row.status), {}, End::kBroken).kind == row.kind);
    CHECK(Judge({"HTTP/2 200\r\n", "Content-Type: application/grpc\r\n",
                 absl::StrCat("Grpc-Status:", row.status, "\r\n"), "\r\n"},
                "", {})
              .kind == row.kind);
  }
}

TEST_CASE("grpc answer: a status that is none is UNKNOWN", "[transport]") {
  for (const char* status : {"", "17", "-1", "+0", "0x0", "1 4", "00000000000000", "4294967296", "ok", "\xff"}) {
    INFO(status);
    const SendResult result = JudgeStatus(status);
    CHECK(result.kind == Kind::kDropGrpc);
    CHECK(result.grpc_status == 2);
  }
}

TEST_CASE("grpc answer: what a person can do", "[transport]") {
  CHECK(absl::StrContains(JudgeStatus("16").message, "Authentication"));
  CHECK(absl::StrContains(JudgeStatus("7").message, "Authentication"));
  CHECK(absl::StrContains(JudgeStatus("12").message, "4317"));
  CHECK(absl::StrContains(JudgeStatus("8").message, "smaller"));
  CHECK(absl::StrContains(JudgeHttp(200).message, "4317"));
  CHECK(absl::StrContains(JudgeHttp(400, "HTTP/1.1").message, "4317"));
  CHECK(absl::StrContains(JudgeHttp(502, "HTTP/1.1").message, "4317"));
  CHECK_FALSE(absl::StrContains(JudgeHttp(502).message, "4317"));
}

TEST_CASE("grpc answer: RetryInfo", "[transport]") {
  const struct {
    int line;
    std::string status, value;
    Kind kind;
    std::optional<absl::Duration> retry_after;
  } rows[] = {
      {__LINE__, "14", Base64(StatusWithRetryInfo(5), true), Kind::kRetry, absl::Seconds(5)},
      {__LINE__, "14", Base64(StatusWithRetryInfo(5), false), Kind::kRetry, absl::Seconds(5)},
      {__LINE__, "14", Base64(StatusWithRetryInfo(5), false) + ",AAAA", Kind::kRetry, absl::Seconds(5)},
      {__LINE__, "8", Base64(StatusWithRetryInfo(7), false), Kind::kRetry, absl::Seconds(7)},
      {__LINE__, "8", Base64(StatusWithRetryInfo(0), false), Kind::kRetry, absl::ZeroDuration()},
      {__LINE__, "3", Base64(StatusWithRetryInfo(7), false), Kind::kDropGrpc, std::nullopt},
      {__LINE__, "8", Base64(Field(2, "no details"), false), Kind::kTooLarge, std::nullopt},
      {__LINE__, "8", "not!base64", Kind::kTooLarge, std::nullopt},
      {__LINE__, "8", Base64("not protobuf", false), Kind::kTooLarge, std::nullopt},
      {__LINE__, "8", "", Kind::kTooLarge, std::nullopt},
      {__LINE__, "14", "%%%", Kind::kRetry, std::nullopt},
  };
  for (const auto& row : rows) {
    INFO("line " << row.line);
    const SendResult result = JudgeStatus(row.status, {"grpc-status-details-bin: " + row.value});
    CHECK(result.kind == row.kind);
    CHECK(result.retry_after == row.retry_after);
  }
}

TEST_CASE("grpc answer: grpc-message is percent-decoded, one bounded line of UTF-8", "[transport]") {
  const struct {
    int line;
    std::string raw, text;
  } rows[] = {
      {__LINE__, "plain", "plain"},
      {__LINE__, "50%25 full", "50% full"},
      {__LINE__, "%e4%bD%a0%E5%A5%BD", "\u4f60\u597d"},
      {__LINE__, "a%0d%0ab%09c%00d", "a b c d"},
      {__LINE__, "%", "%"},
      {__LINE__, "%4", "%4"},
      {__LINE__, "%zz%4g%41", "%zz%4gA"},
      {__LINE__, "bad %ff utf8", "bad \uFFFD utf8"},
      {__LINE__, "raw \xc3", "raw \uFFFD"},
      {__LINE__, std::string(1000, 'x'), std::string(256, 'x')},
  };
  for (const auto& row : rows) {
    INFO("line " << row.line);
    CHECK(JudgeStatus("13", {"grpc-message: " + row.raw}).message == "gRPC INTERNAL: " + row.text);
  }
  std::string long_text;
  for (int i = 0; i < 1000; ++i) long_text += "%E4%BD%A0";
  const std::string message = JudgeStatus("13", {"grpc-message: " + long_text}).message;
  CHECK(message.size() < 300);
  CHECK(ValidUtf8Prefix(message) == message.size());
}

TEST_CASE("grpc answer: partial success", "[transport]") {
  const auto judge = [](const std::string& response) {
    return Judge(kGrpcHead, GrpcMessage(response), {"grpc-status: 0"});
  };
  SendResult result = judge(PartialSuccess(3, "no thanks"));
  CHECK(result.kind == Kind::kAcknowledged);
  CHECK(result.grpc_status == 0);
  CHECK(result.rejected == 3);
  CHECK(result.message == "no thanks");
  CHECK(judge(PartialSuccess(-3, "")).rejected == 0);
  CHECK(judge(PartialSuccess(INT64_MIN, "")).kind == Kind::kAcknowledged);
  CHECK(judge("").rejected == 0);
}

TEST_CASE("grpc answer: OK needs exactly one plain message", "[transport]") {
  const std::string frame = GrpcMessage(PartialSuccess(1, "x"));
  const struct {
    int line;
    std::string body;
    End end;
    Kind kind;
  } rows[] = {
      {__LINE__, frame, End::kComplete, Kind::kAcknowledged},
      {__LINE__, frame, End::kBroken, Kind::kAcknowledged},
      {__LINE__, "", End::kComplete, Kind::kDropResponse},
      {__LINE__, "", End::kBroken, Kind::kRetry},
      {__LINE__, frame.substr(0, 4), End::kComplete, Kind::kDropResponse},
      {__LINE__, frame.substr(0, 4), End::kBroken, Kind::kRetry},
      {__LINE__, frame.substr(0, frame.size() - 1), End::kComplete, Kind::kDropResponse},
      {__LINE__, frame.substr(0, frame.size() - 1), End::kBroken, Kind::kRetry},
      {__LINE__, frame + frame, End::kComplete, Kind::kDropResponse},
      {__LINE__, frame + "x", End::kComplete, Kind::kDropResponse},
      {__LINE__, GrpcMessage("", 1), End::kComplete, Kind::kDropResponse},
      {__LINE__, GrpcMessage("", 2), End::kComplete, Kind::kDropResponse},
      {__LINE__, GrpcMessage("no protobuf"), End::kComplete, Kind::kDropResponse},
  };
  for (const auto& row : rows) {
    INFO("line " << row.line);
    const SendResult result = Judge(kGrpcHead, row.body, {"grpc-status: 0"}, Outcome(200, row.end, "reset"));
    CHECK(result.kind == row.kind);
    CHECK(result.rejected == (row.kind == Kind::kAcknowledged ? 1 : 0));
    CHECK_FALSE(result.message.empty());
  }
}

TEST_CASE("grpc answer: a message in the coding of the request", "[transport]") {
  const auto judge = [](const std::string& coding, const std::string& bytes, size_t limit = kLimit) {
    GrpcAnswer answer(limit);
    for (const std::string& line : kGrpcHead) CHECK(answer.AddHeadLine(line));
    CHECK(answer.AddHeadLine("grpc-encoding: " + coding + "\r\n"));
    CHECK(answer.AddBody(GrpcMessage(bytes, 1)));
    CHECK(answer.AddHeadLine("grpc-status: 0\r\n"));
    return answer.Judge(Outcome(200));
  };
  // Long enough to be worth it; larger than the limit when it is unpacked.
  const std::string large = PartialSuccess(7, std::string(5000, 'x'));
  for (const auto& [compression, coding] : {std::pair{Compression::kGzip, "gzip"}, {Compression::kZstd, "zstd"}}) {
    Compressor compressor(compression);
    const auto packed = compressor.Compress(large);
    REQUIRE(packed.coding == coding);
    const std::string bytes(packed.body);
    REQUIRE(bytes.size() < 500);
    CHECK(judge(coding, bytes, 8000).rejected == 7);
    CHECK(judge(coding, bytes).kind == Kind::kDropResponse);
    CHECK(judge(coding, bytes.substr(0, bytes.size() - 1), 8000).kind == Kind::kDropResponse);
    CHECK(judge(coding, bytes + "x", 8000).kind == Kind::kDropResponse);
    CHECK(judge("br", bytes, 8000).kind == Kind::kDropResponse);
    CHECK(judge("", bytes, 8000).kind == Kind::kDropResponse);
    CHECK(judge(coding, "", 8000).kind == (coding == std::string("zstd") ? Kind::kAcknowledged : Kind::kDropResponse));
  }
  // What the Collector sends: nothing, in gzip.
  CHECK(judge("gzip", absl::HexStringToBytes("1f8b08000000000000ff010000ffff0000000000000000")).kind ==
        Kind::kAcknowledged);
}

TEST_CASE("grpc answer: without grpc-status the HTTP status decides", "[transport]") {
  for (int status = 200; status < 600; ++status) {
    INFO(status);
    const bool retry = status == 429 || status == 502 || status == 503 || status == 504;
    const Kind expected = status == 200 ? Kind::kDropResponse : retry ? Kind::kRetry : Kind::kDropGrpc;
    const SendResult result = JudgeHttp(status);
    CHECK(result.kind == expected);
    CHECK(result.grpc_status == -1);
    CHECK(result.http_status == status);
    CHECK(JudgeHttp(status, "HTTP/1.1").kind == expected);
    CHECK(JudgeHttp(status, "HTTP/2", End::kBroken).kind == (status == 200 ? Kind::kRetry : expected));
  }
  CHECK(absl::StrContains(JudgeHttp(404).message, "UNIMPLEMENTED"));
  CHECK(absl::StrContains(JudgeHttp(401).message, "UNAUTHENTICATED"));
  CHECK(absl::StrContains(JudgeHttp(403).message, "PERMISSION_DENIED"));
  CHECK(absl::StrContains(JudgeHttp(400).message, "INTERNAL"));
  CHECK(absl::StrContains(JudgeHttp(500).message, "UNKNOWN"));
  const SendResult no_trailers = Judge(kGrpcHead, GrpcMessage(""), {});
  CHECK(no_trailers.kind == Kind::kRetry);
  CHECK(absl::StrContains(no_trailers.message, "no grpc-status"));
}

TEST_CASE("grpc answer: no answer at all is retried", "[transport]") {
  for (const End end : {End::kBroken, End::kGarbage, End::kComplete}) {
    GrpcAnswer answer(kLimit);
    const SendResult result = answer.Judge(Outcome(0, end, "connection refused"));
    CHECK(result.kind == Kind::kRetry);
    CHECK(absl::StrContains(result.message, "connection refused"));
    CHECK(absl::StrContains(result.message, "4317") == (end == End::kGarbage));
  }
  GrpcAnswer answer(kLimit);
  CHECK(answer.Judge(Outcome(0)).message == "no grpc-status");
  CHECK(answer.AddHeadLine("HTTP/2 100\r\n"));
  CHECK(answer.Judge(Outcome(100, End::kBroken, "reset")).kind == Kind::kRetry);
}

TEST_CASE("grpc answer: one that was lost since it came early asks for smaller requests", "[transport]") {
  CurlExchange::Outcome outcome = Outcome(0, End::kBroken, "lost");
  outcome.answer_lost = true;
  CHECK(GrpcAnswer(kLimit).Judge(outcome).kind == Kind::kTooLarge);
  GrpcAnswer unavailable(kLimit);
  CHECK(unavailable.AddHeadLine("grpc-status: 14\r\n"));
  CHECK(unavailable.Judge(outcome).kind == Kind::kRetry);
}

TEST_CASE("grpc answer: an interim answer does not count", "[transport]") {
  const SendResult result = Judge({"HTTP/2 103 \r\n", "grpc-status: 3\r\n", "grpc-message: early\r\n", "\r\n",
                                   "HTTP/2 200 \r\n", "content-type: application/grpc+proto\r\n", "\r\n"},
                                  GrpcMessage(""), {"grpc-status: 0"});
  CHECK(result.kind == Kind::kAcknowledged);
  CHECK(result.message.empty());
}

TEST_CASE("grpc answer: limits", "[transport]") {
  SECTION("of the message, to the byte") {
    const std::string largest = PartialSuccess(1, std::string(kLimit - 10, 'x'));
    REQUIRE(largest.size() <= kLimit);
    CHECK(Judge(kGrpcHead, GrpcMessage(largest), {"grpc-status: 0"}).rejected == 1);
    GrpcAnswer answer(kLimit);
    CHECK(answer.AddBody(GrpcMessage(std::string(kLimit, 'x'))));
    CHECK_FALSE(answer.AddBody("x"));
    const SendResult result = answer.Judge(Outcome(200, End::kBroken, "stopped"));
    CHECK(result.kind == Kind::kDropResponse);
    CHECK(absl::StrContains(result.message, "limit"));
  }
  SECTION("a length that is never filled") {
    const std::string claims(5, '\xff');
    CHECK(Judge(kGrpcHead, std::string("\0\xff\xff\xff\xff", 5), {"grpc-status: 0"}).kind == Kind::kDropResponse);
    CHECK(Judge(kGrpcHead, claims, {"grpc-status: 0"}).kind == Kind::kDropResponse);
    CHECK(Judge(kGrpcHead, claims, {"grpc-status: 0"}, Outcome(200, End::kBroken)).kind == Kind::kRetry);
  }
  SECTION("of head and trailers together; what came before counts") {
    for (const bool unavailable : {false, true}) {
      GrpcAnswer answer(kLimit);
      for (const std::string& line : kGrpcHead) CHECK(answer.AddHeadLine(line));
      if (unavailable) CHECK(answer.AddHeadLine("grpc-status: 14\r\n"));
      int lines = 0;
      while (answer.AddHeadLine("x: " + std::string(1000, 'y') + "\r\n")) ++lines;
      CHECK(lines >= 50);
      CHECK(lines <= 66);
      CHECK(answer.Judge(Outcome(200, End::kBroken)).kind == (unavailable ? Kind::kRetry : Kind::kDropResponse));
    }
  }
}

TEST_CASE("grpc answer: the message may come in any pieces", "[transport]") {
  const std::string frame = GrpcMessage(PartialSuccess(300, "three hundred"));
  for (size_t cut = 0; cut <= frame.size(); ++cut) {
    GrpcAnswer answer(kLimit);
    CHECK(answer.AddBody(frame.substr(0, cut)));
    CHECK(answer.AddBody(frame.substr(cut)));
    CHECK(answer.AddHeadLine("grpc-status: 0\r\n"));
    CHECK(answer.Judge(Outcome(200)).rejected == 300);
  }
}

}  // namespace
}  // namespace spantap
