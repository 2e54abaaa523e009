// SPDX-License-Identifier: Apache-2.0
//
// A collector's answer over gRPC: head, message frame and trailers collected with every part bounded, then judged
// as the OTLP specification says ("OTLP/gRPC Response"; status codes and RetryInfo under "Failures"). No I/O here:
// otlp_grpc.cc feeds it through CurlExchange.
//
// One thread. Memory: the limit given at construction for the message, and 64 KiB for head and trailers together.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "exporter/transport/curl_exchange.h"
#include "exporter/transport/transport.h"

namespace spantap {

class GrpcAnswer final : public AnswerSink {
 public:
  explicit GrpcAnswer(size_t max_message_bytes);
  [[nodiscard]] bool AddHeadLine(absl::string_view untrusted_line) override;
  [[nodiscard]] bool AddBody(absl::string_view untrusted_bytes) override;

  // What is judged how, where the specifications leave room:
  //  - An error status counts as soon as it is there, however the stream ends after it.
  //  - OK is an acknowledgement only with one message that is an ExportTraceServiceResponse (empty is one): gRPC's
  //    own clients call everything else an error too.
  //  - A stream or connection that breaks off without a status, or that is no HTTP/2, is UNAVAILABLE: sent again, at
  //    the price of duplicates (at-least-once). So is a gRPC answer that ends without a status: trailers get lost,
  //    with libcurl 7.88 for one when GOAWAY comes together with them.
  //  - No grpc-status, but an HTTP status of no gRPC server: gRPC's table ("HTTP to gRPC Status Code Mapping"), and 200
  //    is no valid answer.
  //  - An answer that was lost because it came before the request was all sent (Outcome::answer_lost): not OK, so the
  //    request is too large, at least to be heard out; its halves are sent whole before they are refused.
  SendResult Judge(const CurlExchange::Outcome& outcome) const;

 private:
  void TakeField(absl::string_view name, absl::string_view untrusted_value);
  SendResult JudgeOk(const CurlExchange::Outcome& outcome) const;
  SendResult JudgeError(const CurlExchange::Outcome& outcome, int status, absl::string_view text) const;
  SendResult JudgeWithoutStatus(const CurlExchange::Outcome& outcome) const;

  const size_t max_message_bytes_;
  size_t head_bytes_ = 0;
  bool too_large_ = false;
  bool http1_ = false;        // the last status line says HTTP/1.x
  std::string body_;          // at most the prefix and the message
  std::string content_type_;  // its beginning
  std::string coding_;        // grpc-encoding, its beginning
  int grpc_status_ = -1;      // -1: none came
  std::string grpc_message_;  // percent-decoded, one line of valid UTF-8
  std::string details_;       // grpc-status-details-bin, base64-decoded
};

}  // namespace spantap
