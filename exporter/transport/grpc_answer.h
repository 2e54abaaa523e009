// SPDX-License-Identifier: Apache-2.0
//
// A collector's answer over gRPC: head, message frame and trailers collected with every part bounded, then judged
// as the OTLP specification says ("OTLP/gRPC Response"; status codes and RetryInfo under "Failures"). No I/O here.
//
// One thread. Memory: at most the body limit given at construction.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "exporter/transport/curl_exchange.h"
#include "exporter/transport/transport.h"

namespace spantap {

class GrpcAnswer final : public AnswerSink {
 public:
  explicit GrpcAnswer(size_t max_body_bytes);
  [[nodiscard]] bool AddHeadLine(absl::string_view untrusted_line) override;
  [[nodiscard]] bool AddBody(absl::string_view untrusted_bytes) override;

  SendResult Judge(const CurlExchange::Outcome& outcome) const;

 private:
  const size_t max_body_bytes_;
  size_t head_bytes_ = 0;
  bool too_large_ = false;
  std::string body_;
  std::string content_type_;
  int grpc_status_ = -1;      // -1: none came
  std::string grpc_message_;  // percent-decoded
  std::string details_;       // grpc-status-details-bin, base64-decoded
};

}  // namespace spantap
