// SPDX-License-Identifier: Apache-2.0
//
// The OTEL_* variables that spantap knows (OpenTelemetry specification, "Environment Variable Specification" and "OTLP
// Exporter"), each with the one that is asked for when it is not set or not understood: of a name for traces and a
// general one, the former counts.
//
// Used by agent/cli (what they mean for options) and exporter/embedded (for a host's exporter). Constants.
#pragma once

#include "absl/time/time.h"

namespace spantap::standard {

struct VariableNames {
  const char* name;
  const char* general = nullptr;
};

inline constexpr VariableNames kDisabled = {"OTEL_SDK_DISABLED"};
inline constexpr VariableNames kLogLevel = {"OTEL_LOG_LEVEL"};
inline constexpr VariableNames kTracesExporter = {"OTEL_TRACES_EXPORTER"};
inline constexpr VariableNames kTracesEndpoint = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"};
inline constexpr VariableNames kEndpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT"};  // a path is appended to it
inline constexpr VariableNames kProtocol = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"};
inline constexpr VariableNames kCompression = {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                                               "OTEL_EXPORTER_OTLP_COMPRESSION"};
inline constexpr VariableNames kHeaders = {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"};
inline constexpr VariableNames kTimeout = {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"};
inline constexpr VariableNames kCertificate = {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
                                               "OTEL_EXPORTER_OTLP_CERTIFICATE"};
inline constexpr VariableNames kClientCertificate = {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
                                                     "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"};
inline constexpr VariableNames kClientKey = {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"};
inline constexpr VariableNames kInsecure = {"OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"};
inline constexpr VariableNames kScheduleDelay = {"OTEL_BSP_SCHEDULE_DELAY"};
inline constexpr VariableNames kExportTimeout = {"OTEL_BSP_EXPORT_TIMEOUT"};
inline constexpr VariableNames kQueueSpans = {"OTEL_BSP_MAX_QUEUE_SIZE"};
inline constexpr VariableNames kBatchSpans = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE"};
inline constexpr VariableNames kAttributes = {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"};
inline constexpr VariableNames kValueLength = {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                                               "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"};
inline constexpr VariableNames kEvents = {"OTEL_SPAN_EVENT_COUNT_LIMIT"};
inline constexpr VariableNames kLinks = {"OTEL_SPAN_LINK_COUNT_LIMIT"};
inline constexpr VariableNames kEventAttributes = {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"};
inline constexpr VariableNames kLinkAttributes = {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"};
inline constexpr VariableNames kServiceName = {"OTEL_SERVICE_NAME"};
inline constexpr VariableNames kResourceAttributes = {"OTEL_RESOURCE_ATTRIBUTES"};
inline constexpr VariableNames kSampler = {"OTEL_TRACES_SAMPLER"};
inline constexpr VariableNames kSamplerArgument = {"OTEL_TRACES_SAMPLER_ARG"};

// What 0 means where the specification says "no limit": the longest that is taken.
inline constexpr absl::Duration kLongestTimeout = absl::Hours(1);
inline constexpr absl::Duration kLongestGiveUp = absl::Hours(24 * 7);  // of a batch with its retries

}  // namespace spantap::standard
