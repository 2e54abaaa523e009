// SPDX-License-Identifier: Apache-2.0
//
// OTLP/gRPC (OTLP specification, "OTLP/gRPC"; gRPC over HTTP/2): the unary call TraceService/Export as one HTTP/2
// POST with a length-prefixed message; the answer judged by GrpcAnswer.
//
// Made by MakeTransport(). Memory: one framed body, the kept part of one answer.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "exporter/transport/settings.h"

namespace spantap {

// Headers that CheckHeader() takes and gRPC does not: other bytes than printable ASCII, names of gRPC's own.
absl::Status CheckMetadata(const TransportSettings& settings);

absl::StatusOr<std::unique_ptr<Transport>> MakeOtlpGrpc(const TransportSettings& settings);

}  // namespace spantap
