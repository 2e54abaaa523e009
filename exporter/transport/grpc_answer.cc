// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/grpc_answer.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "exporter/model/attributes.h"
#include "exporter/model/utf8.h"
#include "exporter/otlp/otlp_decode.h"
#include "exporter/transport/grpc_message.h"

namespace spantap {
namespace {

using Kind = SendResult::Kind;
using End = CurlExchange::Outcome::End;

constexpr size_t kMaxHeadBytes = 64 << 10;  // head and trailers, interim answers (1xx) included
constexpr size_t kMaxText = 256;            // of what a server tells people
constexpr char kWrongPort[] = " (is this a collector's OTLP/gRPC port (4317)?)";

enum GrpcStatus : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kDeadlineExceeded = 4,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};
constexpr std::array<absl::string_view, 17> kNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

bool IsRetryable(int status) {
  switch (status) {
    case kCancelled:
    case kDeadlineExceeded:
    case kAborted:
    case kOutOfRange:
    case kUnavailable:
    case kDataLoss:
      return true;
    default:
      return false;
  }
}

// gRPC, "HTTP to gRPC Status Code Mapping".
int StatusOfHttp(int http_status) {
  switch (http_status) {
    case 400:
      return kInternal;
    case 401:
      return kUnauthenticated;
    case 403:
      return kPermissionDenied;
    case 404:
      return kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return kUnavailable;
    default:
      return kUnknown;
  }
}

// What a person can do about it.
absl::string_view HintFor(int status) {
  switch (status) {
    case kUnauthenticated:
    case kPermissionDenied:
      return " (check the Authentication or Authorization header)";
    case kUnimplemented:
      return kWrongPort;
    case kResourceExhausted:
      return " (the collector's limit may be smaller than a batch)";
    default:
      return "";
  }
}

// A number that gRPC does not know, or no number, means UNKNOWN.
int ParseStatus(absl::string_view value) {
  int status = 0;
  if (value.empty() || value.size() > 2 || !std::all_of(value.begin(), value.end(), absl::ascii_isdigit)) {
    return kUnknown;
  }
  return absl::SimpleAtoi(value, &status) && status <= kUnauthenticated ? status : kUnknown;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// "gRPC over HTTP2", Status-Message: a % that begins no pair of hex digits stands for itself.
std::string PercentDecode(absl::string_view value) {
  std::string text;
  for (size_t i = 0; i < value.size(); ++i) {
    const int high = value[i] == '%' && i + 2 < value.size() ? HexValue(value[i + 1]) : -1;
    const int low = high >= 0 ? HexValue(value[i + 2]) : -1;
    text.push_back(low >= 0 ? static_cast<char>(high * 16 + low) : value[i]);
    if (low >= 0) i += 2;
  }
  return text;
}

std::string OneLine(absl::string_view untrusted_text) {
  std::string storage;
  std::string text(CutUtf8(RepairUtf8(untrusted_text, &storage), kMaxText));
  for (char& c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  absl::RemoveExtraAsciiWhitespace(&text);
  return text;
}

SendResult Result(Kind kind, const CurlExchange::Outcome& outcome, int grpc_status, std::string message) {
  SendResult result;
  result.kind = kind;
  result.http_status = outcome.http_status;
  result.grpc_status = grpc_status;
  result.message = std::move(message);
  return result;
}

}  // namespace

GrpcAnswer::GrpcAnswer(size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

bool GrpcAnswer::AddHeadLine(absl::string_view untrusted_line) {
  head_bytes_ += untrusted_line.size();
  if (head_bytes_ > kMaxHeadBytes) {
    too_large_ = true;
    return false;
  }
  if (absl::StartsWith(untrusted_line, "HTTP/")) {  // of an interim answer, or of the one after it
    http1_ = absl::StartsWith(untrusted_line, "HTTP/1");
    content_type_.clear();
    coding_.clear();
    grpc_status_ = -1;
    grpc_message_.clear();
    details_.clear();
    return true;
  }
  const size_t colon = untrusted_line.find(':');
  if (colon == absl::string_view::npos) return true;
  TakeField(untrusted_line.substr(0, colon), absl::StripAsciiWhitespace(untrusted_line.substr(colon + 1)));
  return true;
}

// Of the head or the trailers: an answer without a message has all in its head ("Trailers-Only").
void GrpcAnswer::TakeField(absl::string_view name, absl::string_view untrusted_value) {
  if (absl::EqualsIgnoreCase(name, "content-type")) {
    content_type_ = absl::AsciiStrToLower(untrusted_value.substr(0, 64));
  } else if (absl::EqualsIgnoreCase(name, "grpc-encoding")) {
    coding_ = std::string(untrusted_value.substr(0, 64));
  } else if (absl::EqualsIgnoreCase(name, "grpc-status")) {
    grpc_status_ = ParseStatus(untrusted_value);
  } else if (absl::EqualsIgnoreCase(name, "grpc-message")) {
    grpc_message_ = OneLine(PercentDecode(untrusted_value.substr(0, 3 * kMaxText)));
  } else if (absl::EqualsIgnoreCase(name, "grpc-status-details-bin")) {
    // Several values may be joined by commas. Padding may be there or not; Base64Unescape takes both.
    if (!absl::Base64Unescape(untrusted_value.substr(0, untrusted_value.find(',')), &details_)) details_.clear();
  }
}

bool GrpcAnswer::AddBody(absl::string_view untrusted_bytes) {
  if (untrusted_bytes.size() > kGrpcPrefixBytes + max_message_bytes_ - body_.size()) {
    too_large_ = true;
    return false;
  }
  body_.append(untrusted_bytes.data(), untrusted_bytes.size());
  return true;
}

SendResult GrpcAnswer::Judge(const CurlExchange::Outcome& outcome) const {
  if (grpc_status_ > kOk) return JudgeError(outcome, grpc_status_, grpc_message_);
  if (too_large_ && (outcome.http_status < 300 || grpc_status_ == kOk)) {
    return Result(Kind::kDropResponse, outcome, grpc_status_, "the answer is larger than the limit");
  }
  return grpc_status_ == kOk ? JudgeOk(outcome) : JudgeWithoutStatus(outcome);
}

SendResult GrpcAnswer::JudgeOk(const CurlExchange::Outcome& outcome) const {
  const UnframedMessage answer = UnframeMessage(body_, coding_, max_message_bytes_);
  if (answer.incomplete && outcome.end != End::kComplete) {
    return Result(Kind::kRetry, outcome, grpc_status_, absl::StrCat("the answer broke off: ", outcome.cause));
  }
  absl::string_view fault = answer.fault;
  int64_t rejected = 0;
  std::string message;
  if (fault.empty() && !DecodeExportResponse(answer.message, &rejected, &message)) {
    fault = "with a message that is no OTLP answer";
  }
  if (!fault.empty()) {
    return Result(Kind::kDropResponse, outcome, grpc_status_, absl::StrCat("gRPC OK, but ", fault, kWrongPort));
  }
  SendResult result = Result(Kind::kAcknowledged, outcome, grpc_status_, std::move(message));
  result.rejected = static_cast<uint64_t>(std::max<int64_t>(rejected, 0));
  return result;
}

// `status` is not OK; `text` is one line of valid UTF-8.
SendResult GrpcAnswer::JudgeError(const CurlExchange::Outcome& outcome, int status, absl::string_view text) const {
  RpcStatus details;
  const bool throttled = DecodeRpcStatus(details_, &details) && details.retry_delay.has_value();
  Kind kind = IsRetryable(status) ? Kind::kRetry : Kind::kDropGrpc;
  if (status == kResourceExhausted) kind = throttled ? Kind::kRetry : Kind::kTooLarge;
  const absl::string_view hint = http1_ ? kWrongPort : kind == Kind::kRetry ? "" : HintFor(status);
  SendResult result =
      Result(kind, outcome, status,
             absl::StrCat("gRPC ", kNames[static_cast<size_t>(status)], hint, text.empty() ? "" : ": ", text));
  if (throttled && kind == Kind::kRetry) result.retry_after = details.retry_delay;
  return result;
}

SendResult GrpcAnswer::JudgeWithoutStatus(const CurlExchange::Outcome& outcome) const {
  const absl::string_view cause = outcome.cause.empty() ? absl::string_view("no grpc-status") : outcome.cause;
  if (outcome.answer_lost) return Result(Kind::kTooLarge, outcome, -1, std::string(cause));
  if (outcome.http_status < 200) {  // no final status line
    const absl::string_view hint = outcome.end == End::kGarbage || http1_ ? kWrongPort : "";
    return Result(Kind::kRetry, outcome, -1, absl::StrCat(cause, hint));
  }
  const bool grpc = absl::StartsWith(content_type_, "application/grpc");
  if (outcome.http_status == 200 && (grpc || outcome.end != End::kComplete)) {
    return Result(Kind::kRetry, outcome, -1, absl::StrCat("the answer broke off: ", cause));
  }
  if (outcome.http_status == 200) {
    return Result(Kind::kDropResponse, outcome, -1, absl::StrCat("HTTP 200, but no gRPC", kWrongPort));
  }
  SendResult result = JudgeError(outcome, StatusOfHttp(outcome.http_status),
                                 absl::StrCat("HTTP ", outcome.http_status, " without grpc-status"));
  result.grpc_status = -1;
  return result;
}

}  // namespace spantap
