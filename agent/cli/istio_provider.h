// SPDX-License-Identifier: Apache-2.0
//
// `opentelemetry:` in the configuration file: the fields of Istio's meshConfig.extensionProviders[].opentelemetry
// (https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/), written as in Istio's own YAML, in camelCase
// or snake_case:
//
//   opentelemetry:
//     service: opentelemetry-collector.observability.svc.cluster.local   # or NAMESPACE/HOST
//     port: 4318
//     http:                       # without it: grpc
//       path: /v1/traces
//       timeout: 5s
//       headers: [{name: custom-header, value: custom value}]            # or envName, a variable of the agent
//     resourceDetectors: {environment: {}}   # always on: each process's OTEL_RESOURCE_ATTRIBUTES is read
//
// It becomes the options endpoint, protocol, timeout and header. Used by config_file.cc only.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>

#include "absl/status/status.h"
#include "agent/cli/config_file.h"

namespace spantap {

inline constexpr char kIstioProviderKey[] = "opentelemetry";

// May throw YAML::Exception.
absl::Status TakeIstioProvider(const std::string& file, const YAML::Node& node, const Outside& outside,
                               ConfigFile& config);

}  // namespace spantap
