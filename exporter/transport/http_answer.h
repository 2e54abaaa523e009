// SPDX-License-Identifier: Apache-2.0
//
// A collector's answer over HTTP: collected with every part bounded, then judged as the OTLP
// specification says ("OTLP/HTTP Response"). No I/O here: otlp_http.cc feeds it.
//
// One thread. Memory: at most the body limit given at construction.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/transport/transport.h"

namespace spantap {

// Header bytes of one request's answers, interim ones (1xx) included.
inline constexpr size_t kMaxAnswerHeadBytes = 64 << 10;

class HttpAnswer {
 public:
  explicit HttpAnswer(size_t max_body_bytes) : max_body_bytes_(max_body_bytes) {}

  // A status line, header line or the empty line after them. False: over the limit, stop reading.
  [[nodiscard]] bool AddHeadLine(absl::string_view untrusted_line, absl::Time now);
  // A part of the body. False: over the limit, stop reading.
  [[nodiscard]] bool AddBody(absl::string_view untrusted_bytes);

  enum class End : uint8_t {
    kComplete,
    kBroken,   // no connection, reset, timeout, cancelled: `error` says it
    kGarbage,  // what came is not HTTP
  };
  // `status`: the last status line's, 0 if none came.
  //
  // What is judged how, where the specification leaves room:
  //  - A 2xx is an acknowledgement only if its body is an ExportTraceServiceResponse (empty is one). A
  //    page of HTML with status 200 comes from something that is no collector; resending would not help.
  //  - A 2xx whose body breaks off is no answer: resent, at the price of duplicates (at-least-once).
  //  - An error status counts as soon as its status line is there, however its body ends.
  SendResult Judge(int status, End end, absl::string_view error) const;

 private:
  SendResult JudgeSuccess(int status, End end, absl::string_view error) const;
  std::string BodyForPeople() const;

  const size_t max_body_bytes_;
  size_t head_bytes_ = 0;
  bool too_large_ = false;
  bool head_complete_ = false;  // of the last answer
  std::string body_;
  std::string content_type_;
  std::optional<absl::Duration> retry_after_;
};

}  // namespace spantap
