// SPDX-License-Identifier: Apache-2.0
//
// A collector's answer over HTTP: any head, any body, in any pieces, to any request. The judgement must be one that the
// specification allows, and its message one bounded line of valid UTF-8.
//
// Input: protocol and coding (1 byte), how it ended (1), status (2), size of the body's pieces (1), head lines up to an
// empty one, body.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "exporter/model/utf8.h"
#include "exporter/transport/http_answer.h"

namespace {

using spantap::CurlExchange;
using spantap::HttpAnswer;
using spantap::SendResult;
using End = CurlExchange::Outcome::End;
using Kind = SendResult::Kind;

void Require(bool condition) {
  if (!condition) abort();
}

absl::Time Now() { return absl::FromUnixSeconds(1'800'000'000); }

void CheckKind(const SendResult& result, const CurlExchange::Outcome& outcome) {
  const int status = outcome.http_status;
  const bool success = status >= 200 && status <= 299;
  const bool retryable = status == 429 || status == 502 || status == 503 || status == 504;
  if (result.kind == Kind::kAcknowledged) Require(success && outcome.end == End::kComplete);
  if (result.kind == Kind::kTooLarge) Require(status == 413);
  if (retryable) Require(result.kind == Kind::kRetry);
  if (status >= 300 && !retryable && status != 413) Require(result.kind == Kind::kDropHttp);
  if (result.retry_after.has_value()) Require(retryable && *result.retry_after >= absl::ZeroDuration());
  Require(result.rejected == 0 || result.kind == Kind::kAcknowledged);
  Require(result.rejected <= static_cast<uint64_t>(INT64_MAX));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 5) return 0;
  HttpAnswer::Request request;
  request.protocol = (data[0] & 1) != 0 ? spantap::Protocol::kHttpJson : spantap::Protocol::kHttpProtobuf;
  request.coding = (data[0] & 2) != 0 ? "gzip" : "";
  request.max_body_bytes = (data[0] & 4) != 0 ? 100 : 4096;
  CurlExchange::Outcome outcome;
  outcome.end = static_cast<End>(data[1] % 3);
  if (outcome.end != End::kComplete) outcome.cause = "a cause";
  outcome.http_status = (data[2] << 8 | data[3]) % 600;
  const size_t piece = data[4] % 64 + 1u;
  absl::string_view rest(reinterpret_cast<const char*>(data) + 5, size - 5);

  HttpAnswer answer(request, Now);
  bool open = true;
  while (open && !rest.empty()) {
    const size_t end = rest.find('\n');
    const absl::string_view line = rest.substr(0, end == absl::string_view::npos ? rest.size() : end + 1);
    rest.remove_prefix(line.size());
    open = answer.AddHeadLine(line);
    if (line == "\n" || line == "\r\n") break;
  }
  for (; open && !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) {
    open = answer.AddBody(rest.substr(0, piece));
  }
  if (!open && outcome.end == End::kComplete) outcome.end = End::kBroken;  // as curl_exchange.cc has it

  const SendResult result = answer.Judge(outcome);
  CheckKind(result, outcome);
  Require(result.message.size() <= 1024);
  Require(spantap::ValidUtf8Prefix(result.message) == result.message.size());
  for (const char c : result.message) Require(!absl::ascii_iscntrl(static_cast<unsigned char>(c)));
  return 0;
}
