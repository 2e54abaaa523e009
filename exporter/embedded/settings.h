// SPDX-License-Identifier: Apache-2.0
//
// What embedded mode is told, by the variables of the OpenTelemetry specification ("Environment Variable
// Specification", "OpenTelemetry Protocol Exporter"), with two of our own: SPANTAP_DRAIN and SPANTAP_LOG. README.md has
// the list.
//
// Used by library.cc, once a process. As the specification says, a value that cannot be understood is as if unset, and
// said in the log. Pure but for `variable`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "exporter/send/exporter.h"

namespace spantap {

struct EmbeddedSettings {
  bool disabled = false;            // OTEL_SDK_DISABLED: nothing is sampled or sent
  bool exports = true;              // OTEL_TRACES_EXPORTER
  ExporterSettings exporter;        // one endpoint; drain is the whole time that the end of the process may take
  std::string service_name;         // OTEL_SERVICE_NAME
  std::string resource_attributes;  // OTEL_RESOURCE_ATTRIBUTES
  std::string log;                  // SPANTAP_LOG: "stderr" or a file's path; empty: nothing is said
};

struct EmbeddedEnvironment {
  EmbeddedSettings settings;
  absl::Status usable;                // not OK: no exporter can be made of it; the message says why
  std::vector<std::string> warnings;  // one line each, without secrets
};

// `variable`: nullptr if it is not set.
EmbeddedEnvironment ReadEmbeddedEnvironment(const std::function<const char*(const char* name)>& variable);

}  // namespace spantap
