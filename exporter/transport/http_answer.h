// SPDX-License-Identifier: Apache-2.0
//
// A collector's answer over HTTP: collected with every part bounded, then judged as the OTLP specification says
// ("OTLP/HTTP Response"). No I/O here: otlp_http.cc feeds it.
//
// One thread. Memory: at most the body limit given at construction.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/transport/curl_exchange.h"
#include "exporter/transport/endpoint.h"
#include "exporter/transport/transport.h"

namespace spantap {

// Header bytes of one request's answers, interim ones (1xx) included.
inline constexpr size_t kMaxAnswerHeadBytes = 64 << 10;

class HttpAnswer final : public AnswerSink {
 public:
  // What was asked, as far as it matters to the answer.
  struct Request {
    Protocol protocol = Protocol::kHttpProtobuf;
    absl::string_view coding = "";  // Content-Encoding of the body; a literal
    size_t max_body_bytes = 64 << 10;
  };
  explicit HttpAnswer(const Request& request, absl::Time (*now)() = absl::Now) : request_(request), now_(now) {}

  [[nodiscard]] bool AddHeadLine(absl::string_view untrusted_line) override;
  [[nodiscard]] bool AddBody(absl::string_view untrusted_bytes) override;

  // What is judged how, where the specification leaves room:
  //  - A 2xx is an acknowledgement only if its body is an ExportTraceServiceResponse (empty is one), in the form its
  //    content type says; without one, in either form, because some vendors answer {} to protobuf. A page of HTML
  //    with status 200 comes from something that is no collector; resending would not help.
  //  - A 2xx whose body breaks off is no answer: resent, at the price of duplicates (at-least-once).
  //  - An error status counts as soon as its status line is there, however its body ends.
  SendResult Judge(const CurlExchange::Outcome& outcome) const;

 private:
  SendResult JudgeSuccess(const CurlExchange::Outcome& outcome) const;
  bool DecodeSuccess(int64_t* rejected, std::string* message) const;
  std::string Hint(int status) const;
  std::string BodyForPeople() const;

  const Request request_;
  absl::Time (*const now_)();
  size_t head_bytes_ = 0;
  bool too_large_ = false;
  bool head_complete_ = false;  // of the last answer
  std::string body_;
  std::string content_type_;  // lower case
  std::optional<absl::Duration> retry_after_;
};

// The value of a Retry-After header: seconds or one of the three forms of a date. nullopt: it is neither.
std::optional<absl::Duration> ParseRetryAfter(absl::string_view value, absl::Time now);

}  // namespace spantap
