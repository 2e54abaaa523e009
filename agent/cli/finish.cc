// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/finish.h"

#include <algorithm>

#include "agent/cli/cross_checks.h"
#include "base/status_macros.h"

namespace spantap {
namespace {

void FinishSampler(const Draft& draft, LinkSettings& links) {
  links.sample_parent_based = draft.sampler >= Sampler::kParentAlwaysOn;
  switch (draft.sampler) {
    case Sampler::kAlwaysOn:
    case Sampler::kParentAlwaysOn:
      links.sample_ratio = 1.0;
      break;
    case Sampler::kAlwaysOff:
    case Sampler::kParentAlwaysOff:
      links.sample_ratio = 0.0;
      break;
    case Sampler::kRatio:
    case Sampler::kParentRatio:
      links.sample_ratio = draft.sample_ratio;
      break;
  }
}

void FinishSpool(const Draft& draft, ExporterSettings& exporter) {
  if (draft.spool_dir.empty()) return;
  exporter.spool = draft.spool;
  exporter.spool->dir = draft.spool_dir;
}

// OTEL_SERVICE_NAME beats the service.name of OTEL_RESOURCE_ATTRIBUTES.
void FinishServiceName(const Draft& draft, Settings& settings) {
  if (draft.default_service_name.empty()) return;
  auto& attributes = settings.resource_attributes;
  const auto is_name = [](const auto& attribute) { return attribute.first == "service.name"; };
  attributes.erase(std::remove_if(attributes.begin(), attributes.end(), is_name), attributes.end());
  attributes.emplace_back("service.name", draft.default_service_name);
}

}  // namespace

absl::StatusOr<Settings> Finish(const Draft& draft) {
  Settings settings = draft.settings;
  FinishSampler(draft, settings.links);
  FinishSpool(draft, settings.exporter);
  FinishServiceName(draft, settings);
  settings.handoff.resource_attributes = settings.resource_attributes;
  settings.handoff.query_values = settings.style.query_values;
  if (!draft.exports) return settings;
  for (const std::string& word : draft.endpoints) {
    TransportSettings transport = draft.transport;
    SPANTAP_ASSIGN_OR_RETURN(transport.endpoint, EndpointOf(draft, word));
    settings.exporter.endpoints.push_back(std::move(transport));
  }
  return settings;
}

}  // namespace spantap
