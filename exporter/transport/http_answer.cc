// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/http_answer.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "exporter/model/attributes.h"
#include "exporter/model/utf8.h"
#include "exporter/otlp/otlp_encoder.h"
#include "exporter/transport/otlp_http.h"

namespace spantap {
namespace {

constexpr size_t kMaxMessage = 256;

bool IsRetryable(int status) { return status == 429 || status == 502 || status == 503 || status == 504; }

// What a person can do about it.
absl::string_view HintFor(int status) {
  switch (status) {
    case 401:
    case 403:
      return " (check the Authentication or Authorization header)";
    case 404:
      return " (a collector's path ends in /v1/traces)";
    case 405:
      return " (is this a collector's OTLP/HTTP port?)";
    case 413:
      return " (the collector's limit is smaller than a batch)";
    case 415:
      return " (the collector does not take protobuf over HTTP)";
    default:
      break;
  }
  return status >= 300 && status < 400 ? " (redirects are not followed: give the final address)" : "";
}

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

bool HttpAnswer::AddHeadLine(absl::string_view untrusted_line, absl::Time now) {
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
  if (absl::EqualsIgnoreCase(name, "retry-after")) retry_after_ = ParseRetryAfter(value, now);
  if (absl::EqualsIgnoreCase(name, "content-type")) content_type_ = std::string(value.substr(0, 64));
  return true;
}

bool HttpAnswer::AddBody(absl::string_view untrusted_bytes) {
  if (untrusted_bytes.size() > max_body_bytes_ - body_.size()) {
    too_large_ = true;
    return false;
  }
  body_.append(untrusted_bytes.data(), untrusted_bytes.size());
  return true;
}

// One short line: the text of a google.rpc.Status, or the beginning of a text body.
std::string HttpAnswer::BodyForPeople() const {
  std::string text;
  if (absl::StrContains(absl::AsciiStrToLower(content_type_), "protobuf")) {
    if (!DecodeStatusMessage(body_, &text)) text.clear();
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

SendResult HttpAnswer::JudgeSuccess(int status, End end, absl::string_view error) const {
  using Kind = SendResult::Kind;
  if (too_large_) {
    return Result(Kind::kDropResponse, status, absl::StrCat("the answer (HTTP ", status, ") is larger than the limit"));
  }
  if (end != End::kComplete || !head_complete_) {  // curl takes a head that is cut off for a whole one
    return Result(Kind::kRetry, status, absl::StrCat("the answer (HTTP ", status, ") broke off: ", error));
  }
  int64_t rejected = 0;
  std::string message;
  if (!DecodeExportResponse(body_, &rejected, &message)) {
    return Result(Kind::kDropResponse, status,
                  absl::StrCat("HTTP ", status, ", but the body is no OTLP answer (is this a collector's ",
                               "OTLP/HTTP port?)", BodyForPeople()));
  }
  SendResult result = Result(Kind::kAcknowledged, status, std::move(message));
  result.rejected = static_cast<uint64_t>(std::max<int64_t>(rejected, 0));
  return result;
}

SendResult HttpAnswer::Judge(int status, End end, absl::string_view error) const {
  using Kind = SendResult::Kind;
  if (status >= 200 && status <= 299) return JudgeSuccess(status, end, error);
  if (status < 200) {  // no final status line
    if (too_large_) return Result(Kind::kDropResponse, 0, "the head of the answer is larger than the limit");
    if (end == End::kGarbage) {
      return Result(Kind::kDropResponse, 0, absl::StrCat("the answer is not HTTP: ", error));
    }
    return Result(Kind::kRetry, 0, error.empty() ? "no answer" : std::string(error));
  }
  if (IsRetryable(status)) {
    SendResult result = Result(Kind::kRetry, status, absl::StrCat("HTTP ", status, BodyForPeople()));
    result.retry_after = retry_after_;
    return result;
  }
  return Result(Kind::kDropHttp, status, absl::StrCat("HTTP ", status, HintFor(status), BodyForPeople()));
}

}  // namespace spantap
