// SPDX-License-Identifier: Apache-2.0
//
// What a process's resource says, whoever made its spans: how it is named when nobody named it, its executable, ours.
// https://opentelemetry.io/docs/specs/semconv/resource/process/
//
// Used by agent/spans (what was observed) and exporter/intake (what was handed off). Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "exporter/model/attributes.h"
#include "exporter/model/resource_attributes.h"

namespace spantap {

inline constexpr absl::string_view kServiceName = "service.name";
inline constexpr absl::string_view kUnknownService = "unknown_service";

// The value of a key; "" without one.
std::string ResourceValue(const ResourceAttributes& attributes, absl::string_view wanted);
// "/usr/sbin/nginx" -> "nginx", "nginx:80" if it listens there, kUnknownService if the path is empty.
std::string ServiceOfExecutable(absl::string_view path, uint16_t listen_port);
// process.executable.*; nothing if the path is empty.
void AddExecutable(absl::string_view path, AttributeBlob* attributes);
// telemetry.sdk.*
void AddSdk(AttributeBlob* attributes);

}  // namespace spantap
