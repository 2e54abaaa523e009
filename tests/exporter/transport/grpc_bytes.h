// SPDX-License-Identifier: Apache-2.0
//
// What gRPC servers answer with, in bytes: message frames, a google.rpc.Status with RetryInfo, OTLP responses. Used by
// the tests of the gRPC transport. Written out by hand, so that they check the decoder and do not share its mistakes.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/escaping.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace spantap {

inline std::string GrpcMessage(const std::string& message, char flag = 0) {
  const auto size = static_cast<uint32_t>(message.size());
  const char prefix[] = {flag, static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                         static_cast<char>(size >> 8), static_cast<char>(size)};
  return std::string(prefix, sizeof(prefix)) + message;
}

// A field of protobuf's wire type 2 with less than 128 bytes.
inline std::string Field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}

// google.rpc.Status {code: 14, message: "busy", details: [RetryInfo {retry_delay: seconds (0 to 127)}]}.
inline std::string StatusWithRetryInfo(int seconds) {
  const std::string delay = Field(1, std::string{0x08, static_cast<char>(seconds)});
  const std::string any = Field(1, "type.googleapis.com/google.rpc.RetryInfo") + Field(2, delay);
  return std::string{0x08, 14} + Field(2, "busy") + Field(3, any);
}

inline std::string Base64(const std::string& bytes, bool padding) {
  std::string text = absl::Base64Escape(bytes);
  if (!padding) text.erase(text.find_last_not_of('=') + 1);
  return text;
}

inline std::string PartialSuccess(int64_t rejected, const std::string& message) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse response;
  response.mutable_partial_success()->set_rejected_spans(rejected);
  response.mutable_partial_success()->set_error_message(message);
  return response.SerializeAsString();
}

}  // namespace spantap
