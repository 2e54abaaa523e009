// SPDX-License-Identifier: Apache-2.0
#include "agent/spans/process_table.h"

#include <algorithm>
#include <tuple>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "agent/spans/process_text.h"
#include "exporter/model/process_resource.h"
#include "exporter/model/resource_attributes.h"

namespace spantap {
namespace {

// Keys that are ours whatever the process's environment says.
bool IsOwnKey(absl::string_view key) {
  return key == kServiceName || key == "process.pid" || absl::StartsWith(key, "process.executable.") ||
         absl::StartsWith(key, "telemetry.sdk.");
}

// The record's name if somebody gave it (--service-name, the process's OTEL_SERVICE_NAME), then the process's
// OTEL_RESOURCE_ATTRIBUTES, then what is configured for all, then the executable.
std::string ChooseServiceName(const spantap_process_event& event, const ProcessText& text,
                              const ResourceAttributes& environment, const ResourceAttributes& configured) {
  if ((event.flags & SPANTAP_PROCESS_NAMED) && !text.service_name.empty()) return std::string(text.service_name);
  for (const ResourceAttributes* attributes : {&environment, &configured}) {
    std::string name = ResourceValue(*attributes, kServiceName);
    if (!name.empty()) return name;
  }
  if (!text.service_name.empty()) return std::string(text.service_name);
  return ServiceOfExecutable(text.exe, event.listen_port);
}

// Those of `environment`, then what `configured` adds to them.
void AddFreeKeys(const ResourceAttributes& environment, const ResourceAttributes& configured,
                 AttributeBlob* attributes) {
  absl::flat_hash_set<absl::string_view> taken;
  for (const ResourceAttributes* list : {&environment, &configured}) {
    for (const auto& [key, value] : *list) {
      if (!IsOwnKey(key) && taken.insert(key).second) attributes->AddString(key, value);
    }
  }
}

std::shared_ptr<const Resource> MakeResource(const spantap_process_event& event, absl::string_view record,
                                             const ResourceAttributes& configured) {
  const ProcessText text = SplitText(event, record);
  const ResourceAttributes environment =
      ParseResourceAttributes(text.resource_attributes).value_or(ResourceAttributes());
  auto resource = std::make_shared<Resource>();
  resource->service_name = ChooseServiceName(event, text, environment, configured);
  AttributeBlob& attributes = resource->attributes;
  attributes.AddString(kServiceName, resource->service_name);
  AddFreeKeys(environment, configured, &attributes);
  attributes.AddInt("process.pid", event.header.tgid);
  AddExecutable(text.exe, &attributes);
  AddSdk(&attributes);
  return resource;
}

std::shared_ptr<const Resource> MakeUnknown(const ResourceAttributes& configured) {
  auto resource = std::make_shared<Resource>();
  resource->service_name = ResourceValue(configured, kServiceName);
  if (resource->service_name.empty()) resource->service_name = std::string(kUnknownService);
  resource->attributes.AddString(kServiceName, resource->service_name);
  AddFreeKeys({}, configured, &resource->attributes);
  AddSdk(&resource->attributes);
  return resource;
}

}  // namespace

void ProcessTable::OnProcess(const spantap_process_event& event, absl::string_view record) {
  const uint32_t tgid = event.header.tgid;
  if (processes_.size() >= kMaxProcesses && !processes_.contains(tgid)) ForgetOne();
  const bool named = event.flags & SPANTAP_PROCESS_NAMED;
  processes_[tgid] = Process{MakeResource(event, record, configured_), ++uses_, false, named};
}

void ProcessTable::OnHanded(uint32_t tgid, const std::shared_ptr<const Resource>& resource) {
  const auto found = processes_.find(tgid);
  if (found == processes_.end() || found->second.named || resource == nullptr) return;
  found->second.resource = resource;
  found->second.named = true;
}

void ProcessTable::OnExit(uint32_t tgid) {
  const auto found = processes_.find(tgid);
  if (found != processes_.end()) found->second.ended = true;
}

// A scan: it runs once per process start beyond the cap, not per span.
void ProcessTable::ForgetOne() {
  const auto oldest = std::min_element(processes_.begin(), processes_.end(), [](const auto& a, const auto& b) {
    return std::make_tuple(!a.second.ended, a.second.last_use) < std::make_tuple(!b.second.ended, b.second.last_use);
  });
  if (oldest != processes_.end()) processes_.erase(oldest);
}

const std::shared_ptr<const Resource>& ProcessTable::ResourceOf(uint32_t tgid) {
  const auto found = processes_.find(tgid);
  if (found != processes_.end()) {
    found->second.last_use = ++uses_;
    return found->second.resource;
  }
  if (unknown_ == nullptr) unknown_ = MakeUnknown(configured_);
  return unknown_;
}

}  // namespace spantap
