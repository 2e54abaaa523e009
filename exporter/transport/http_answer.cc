// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/http_answer.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "exporter/model/attributes.h"
#include "exporter/model/utf8.h"
#include "exporter/otlp/otlp_decode.h"

namespace spantap {
namespace {

using End = CurlExchange::Outcome::End;
using Kind = SendResult::Kind;

constexpr size_t kMaxMessage = 256;
constexpr size_t kMaxContentType = 64;

bool IsRetryable(int status) { return status == 429 || status == 502 || status == 503 || status == 504; }

SendResult Result(SendResult::Kind kind, int status, std::string message) {
  SendResult result;
  result.kind = kind;
  result.http_status = status;
  result.message = std::move(message);
  return result;
}

}  // namespace

std::optional<absl::Duration> ParseRetryAfter(absl::string_view value, absl::Time now) {
  value = absl::StripAsciiWhitespace(value);
  if (value.empty()) return std::nullopt;
  if (std::all_of(value.begin(), value.end(), absl::ascii_isdigit)) {
    int64_t seconds = 0;
    if (!absl::SimpleAtoi(value, &seconds)) return absl::InfiniteDuration();
    return absl::Seconds(seconds);
  }
  // RFC 9110 §5.6.7: the fixed form, and the two obsolete ones that receivers must take.
  for (const char* format : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    absl::Time date;
    if (absl::ParseTime(format, value, &date, nullptr)) return std::max(date - now, absl::ZeroDuration());
  }
  return std::nullopt;
}

bool HttpAnswer::AddHeadLine(absl::string_view untrusted_line) {
  head_bytes_ += untrusted_line.size();
  if (head_bytes_ > kMaxAnswerHeadBytes) {
    too_large_ = true;
    return false;
  }
  if (absl::StartsWith(untrusted_line, "HTTP/")) {  // of an interim answer, or of the one after it
    content_type_.clear();
    retry_after_.reset();
    head_complete_ = false;
    return true;
  }
  if (untrusted_line == "\r\n" || untrusted_line == "\n") head_complete_ = true;
  const size_t colon = untrusted_line.find(':');
  if (colon == absl::string_view::npos) return true;
  const absl::string_view name = untrusted_line.substr(0, colon);
  const absl::string_view value = absl::StripAsciiWhitespace(untrusted_line.substr(colon + 1));
  if (absl::EqualsIgnoreCase(name, "retry-after")) retry_after_ = ParseRetryAfter(value, now_());
  if (absl::EqualsIgnoreCase(name, "content-type"))
    content_type_ = absl::AsciiStrToLower(value.substr(0, kMaxContentType));
  return true;
}

bool HttpAnswer::AddBody(absl::string_view untrusted_bytes) {
  if (untrusted_bytes.size() > request_.max_body_bytes - body_.size()) {
    too_large_ = true;
    return false;
  }
  body_.append(untrusted_bytes.data(), untrusted_bytes.size());
  return true;
}

// What a person can do about it.
std::string HttpAnswer::Hint(int status) const {
  if (status >= 300 && status < 400) return " (redirects are not followed: give the final address)";
  switch (status) {
    case 400:
      if (absl::StrContains(body_, "HTTPS") || absl::StrContains(body_, "TLS"))
        return " (the port speaks TLS: use https://)";
      if (!request_.coding.empty())
        return absl::StrCat(" (the collector may not take ", request_.coding, ": try no compression)");
      return "";
    case 401:
    case 403:
      return " (check the Authentication or Authorization header)";
    case 404:
      return " (a collector's path ends in /v1/traces)";
    case 405:
      return " (is this a collector's OTLP/HTTP port?)";
    case 407:
      return " (the proxy wants a user and password)";
    case 413:
      return " (larger than the collector's limit)";
    case 415:
      return absl::StrCat(" (the collector does not take ", ProtocolName(request_.protocol),
                          request_.coding.empty() ? "" : " or ", request_.coding, ")");
    case 429:
      return " (the collector asks for less)";
    default:
      return "";
  }
}

// One short line: the text of a google.rpc.Status, or the beginning of a text body.
std::string HttpAnswer::BodyForPeople() const {
  std::string text;
  RpcStatus status;
  if (absl::StrContains(content_type_, "protobuf")) {
    if (DecodeRpcStatus(body_, &status)) text = std::move(status.message);
  } else if (absl::StrContains(content_type_, "json") && DecodeRpcStatusJson(body_, &status) &&
             !status.message.empty()) {
    text = std::move(status.message);
  } else {
    std::string storage;
    text = std::string(RepairUtf8(CutUtf8(body_, kMaxMessage), &storage));
  }
  text = std::string(CutUtf8(text, kMaxMessage));
  for (char& c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  absl::RemoveExtraAsciiWhitespace(&text);
  return text.empty() ? text : absl::StrCat(": ", text);
}

bool HttpAnswer::DecodeSuccess(int64_t* rejected, std::string* message) const {
  if (absl::StrContains(content_type_, "json")) return DecodeExportResponseJson(body_, rejected, message);
  if (absl::StrContains(content_type_, "protobuf")) return DecodeExportResponse(body_, rejected, message);
  if (request_.protocol == Protocol::kHttpProtobuf && DecodeExportResponse(body_, rejected, message)) return true;
  return DecodeExportResponseJson(body_, rejected, message);
}

SendResult HttpAnswer::JudgeSuccess(const CurlExchange::Outcome& outcome) const {
  const int status = outcome.http_status;
  if (too_large_) {
    return Result(Kind::kDropResponse, status, absl::StrCat("the answer (HTTP ", status, ") is larger than the limit"));
  }
  if (outcome.end == End::kGarbage) {
    return Result(Kind::kDropResponse, status, absl::StrCat("HTTP ", status, ", but ", outcome.cause));
  }
  if (outcome.end != End::kComplete || !head_complete_) {  // curl takes a head that is cut off for a whole one
    return Result(
        Kind::kRetry, status,
        absl::StrCat("the answer (HTTP ", status, ") broke off", outcome.cause.empty() ? "" : ": ", outcome.cause));
  }
  int64_t rejected = 0;
  std::string message;
  if (!DecodeSuccess(&rejected, &message)) {
    return Result(Kind::kDropResponse, status,
                  absl::StrCat("HTTP ", status, ", but the body is no OTLP answer (is this a collector's ",
                               "OTLP/HTTP port?)", BodyForPeople()));
  }
  SendResult result = Result(Kind::kAcknowledged, status, std::move(message));
  result.rejected = static_cast<uint64_t>(std::max<int64_t>(rejected, 0));
  return result;
}

SendResult HttpAnswer::Judge(const CurlExchange::Outcome& outcome) const {
  const int status = outcome.http_status;
  if (status >= 200 && status <= 299) return JudgeSuccess(outcome);
  if (status < 200) {  // no final status line
    if (too_large_) return Result(Kind::kDropResponse, 0, "the head of the answer is larger than the limit");
    if (outcome.end == End::kGarbage) return Result(Kind::kDropResponse, 0, outcome.cause);
    return Result(Kind::kRetry, 0, outcome.cause.empty() ? "no answer" : outcome.cause);
  }
  const std::string message = absl::StrCat("HTTP ", status, Hint(status), BodyForPeople());
  if (status == 413) return Result(Kind::kTooLarge, status, message);
  if (!IsRetryable(status)) return Result(Kind::kDropHttp, status, message);
  SendResult result = Result(Kind::kRetry, status, message);
  result.retry_after = retry_after_;
  return result;
}

}  // namespace spantap
