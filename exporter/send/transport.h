// SPDX-License-Identifier: Apache-2.0
//
// One way to a collector. A transport sends one encoded request and classifies the answer; it does
// not retry, wait or count: that is the export loop's job, the same for every transport.
//
// Used by ExportLoop on the export thread only. Bodies are borrowed for the call.
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
    kRetry,         // 429, 502, 503, 504, no connection, no answer (OTLP specification, "Failures")
    kDropHttp,      // an answer that must not be retried
    kDropResponse,  // the answer is no valid answer, or too large: not to be retried
  };
  Kind kind = Kind::kRetry;
  uint64_t rejected = 0;
  int http_status = 0;                        // 0: no answer
  std::optional<absl::Duration> retry_after;  // as told by the server, not yet clamped
  std::string message;                        // for the log, bounded, one line
};

class Transport {
 public:
  virtual ~Transport() = default;
  // `body`: an encoded ExportTraceServiceRequest. Blocks for at most `timeout`.
  virtual SendResult Send(absl::string_view body, absl::Duration timeout) = 0;
  // Makes a Send() in progress return soon; any thread.
  virtual void Cancel() = 0;
  // Where it goes, for messages: no credentials.
  virtual std::string Describe() const = 0;
};

}  // namespace spantap
