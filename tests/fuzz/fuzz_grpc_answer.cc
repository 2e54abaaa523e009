// SPDX-License-Identifier: Apache-2.0
//
// Whatever a server sends in gRPC's place: head lines, body and trailers, in any order and any pieces. Nothing may be
// kept beyond the limits, and what a person or the sender is told must be bounded and well formed.
//
// Input: records of one kind byte ('h' a line, 'b' body, 'e' the end: its two bytes are the outcome), a length byte
// (times 16 for 'H' and 'B') and so many bytes.
#include <cstdint>
#include <cstdlib>

#include "exporter/model/utf8.h"
#include "exporter/transport/grpc_answer.h"

namespace spantap {
namespace {

constexpr size_t kLimit = 2048;

void Require(bool ok) {
  if (!ok) abort();
}

void Check(const SendResult& result) {
  using Kind = SendResult::Kind;
  Require(result.message.size() < 1024 && ValidUtf8Prefix(result.message) == result.message.size());
  for (const char c : result.message) Require(static_cast<uint8_t>(c) >= 0x20 && c != 0x7f);
  Require(result.grpc_status >= -1 && result.grpc_status <= 16);
  Require(result.kind == Kind::kAcknowledged || (result.rejected == 0 && !result.message.empty()));
  Require(result.kind == Kind::kAcknowledged ? result.grpc_status == 0 : result.kind != Kind::kDropHttp);
  Require(!result.retry_after || (result.kind == Kind::kRetry && *result.retry_after >= absl::ZeroDuration()));
}

void Run(absl::string_view input) {
  GrpcAnswer answer(kLimit);
  CurlExchange::Outcome outcome;
  outcome.http_status = 200;
  outcome.end = CurlExchange::Outcome::End::kComplete;
  size_t body = 0;
  while (input.size() >= 2) {
    const char kind = input[0];
    const size_t factor = kind == 'H' || kind == 'B' ? 16 : 1;
    const absl::string_view bytes = input.substr(2, factor * static_cast<uint8_t>(input[1]));
    input.remove_prefix(2 + bytes.size());
    bool more = true;
    if (kind == 'h' || kind == 'H') more = answer.AddHeadLine(bytes);
    if (kind == 'b' || kind == 'B') more = answer.AddBody(bytes);
    if (more && (kind == 'b' || kind == 'B')) body += bytes.size();
    Require(body <= kLimit + 5);
    if (kind == 'e' && bytes.size() >= 2) {
      outcome.http_status = static_cast<uint8_t>(bytes[0]) * 4;
      outcome.end = static_cast<CurlExchange::Outcome::End>(static_cast<uint8_t>(bytes[1]) % 3);
      outcome.answer_lost = (bytes[1] & 4) != 0;
    }
    if (!more) outcome.end = CurlExchange::Outcome::End::kBroken;
    if (!more) break;
  }
  Check(answer.Judge(outcome));
}

}  // namespace
}  // namespace spantap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spantap::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
