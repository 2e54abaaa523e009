// SPDX-License-Identifier: Apache-2.0
//
// What a collector answers: ExportTraceServiceResponse in protobuf and JSON, google.rpc.Status with RetryInfo.
//
// Pure; total: the bytes are a stranger's. Texts come out as one line of valid UTF-8, at most 512 bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spantap {

// An ExportTraceServiceResponse (empty bytes: complete success). False if `bytes` is not one.
[[nodiscard]] bool DecodeExportResponse(absl::string_view bytes, int64_t* rejected_spans, std::string* error_message);
// The same in JSON (empty bytes or {}: complete success; rejectedSpans as string or number).
[[nodiscard]] bool DecodeExportResponseJson(absl::string_view bytes, int64_t* rejected_spans,
                                            std::string* error_message);

// google.rpc.Status: the body of an OTLP/HTTP error answer, and gRPC's grpc-status-details-bin.
struct RpcStatus {
  std::string message;
  std::optional<absl::Duration> retry_delay;  // of its first google.rpc.RetryInfo; not clamped, never negative
};
[[nodiscard]] bool DecodeRpcStatus(absl::string_view bytes, RpcStatus* status);
[[nodiscard]] bool DecodeRpcStatusJson(absl::string_view bytes, RpcStatus* status);

}  // namespace spantap
