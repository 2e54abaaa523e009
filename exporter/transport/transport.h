// SPDX-License-Identifier: Apache-2.0
//
// One way to a collector. A transport sends one encoded request and classifies the answer; it does
// not retry, wait or count: that is the sender's job, the same for every transport (exporter/send).
//
// Used on the sending thread only. Bodies are borrowed for the call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spantap {

struct SendResult {
  enum class Kind : uint8_t {
    kAcknowledged,  // accepted; `rejected` spans of it were refused (never retried)
    kRetry,         // no connection, no answer, or an answer that the OTLP specification calls retryable
    kTooLarge,      // HTTP 413, gRPC RESOURCE_EXHAUSTED without RetryInfo: a smaller request may pass
    kDropHttp,      // an HTTP status that must not be retried
    kDropGrpc,      // a gRPC status that must not be retried
    kDropResponse,  // the answer is no valid answer, or too large: not to be retried
  };
  Kind kind = Kind::kRetry;
  uint64_t rejected = 0;
  int http_status = 0;                        // 0: no answer
  int grpc_status = -1;                       // -1: none came
  std::optional<absl::Duration> retry_after;  // Retry-After or RetryInfo as told by the server, not yet clamped
  std::string message;                        // for the log: the cause in words, bounded, one line, no secrets
};

class Transport {
 public:
  virtual ~Transport() = default;
  // `request`: an encoded (protobuf) ExportTraceServiceRequest, never empty; what it becomes on the wire (JSON,
  // gzip, a gRPC frame) is the transport's business. Blocks for at most `timeout`.
  virtual SendResult Send(absl::string_view request, absl::Duration timeout) = 0;
  // Makes a Send() in progress return soon; any thread. Later Send()s are not affected.
  virtual void Cancel() = 0;
  // Where it goes, for messages: no credentials.
  virtual std::string Describe() const = 0;
};

}  // namespace spantap
