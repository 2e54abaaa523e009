// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/health.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace spantap {
namespace {

bool Usable(const ExporterStatus::Endpoint& endpoint) { return endpoint.state == "up" || endpoint.state == "untried"; }

HealthAnswer Endpoints(const ExporterStatus& exporter) {
  if (std::any_of(exporter.endpoints.begin(), exporter.endpoints.end(), Usable)) return {true, "ready"};
  HealthAnswer answer{false, "no collector takes spans"};
  const char* separator = ": ";
  for (const ExporterStatus::Endpoint& endpoint : exporter.endpoints) {
    absl::StrAppend(&answer.reason, separator, endpoint.name, " is ", endpoint.state,
                    endpoint.cause.empty() ? "" : " (", endpoint.cause, endpoint.cause.empty() ? "" : ")");
    separator = "; ";
  }
  return answer;
}

}  // namespace

HealthAnswer Health(absl::Duration turn_age) {
  if (turn_age < kTurnLimit) return {true, "ok"};
  return {false, absl::StrCat("the event thread has not turned for ", absl::ToInt64Seconds(turn_age), " s")};
}

HealthAnswer Readiness(const RunStatus& status) {
  switch (status.phase) {
    case Phase::kStarting:
      return {false, "starting: capture is not attached yet"};
    case Phase::kStopping:
      return {false, "stopping: capture has ended"};
    case Phase::kDisabled:
      return {true, "disabled by OTEL_SDK_DISABLED: nothing is captured or exported"};
    case Phase::kCapturing:
      break;
  }
  if (!status.exporter) return {true, "ready; nothing is exported: no endpoint was given"};
  return Endpoints(*status.exporter);
}

}  // namespace spantap
