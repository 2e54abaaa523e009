// SPDX-License-Identifier: Apache-2.0
//
// OTLP/HTTP (OTLP specification, "OTLP/HTTP"): POST of a protobuf or JSON body, the answer judged by HttpAnswer.
//
// Made by MakeTransport(). Memory: one body in JSON and/or compressed, the kept part of one answer.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "exporter/transport/settings.h"

namespace spantap {

absl::StatusOr<std::unique_ptr<Transport>> MakeOtlpHttp(const TransportSettings& settings);

}  // namespace spantap
