// SPDX-License-Identifier: Apache-2.0
#include "agent/spans/process_table.h"

#include <algorithm>
#include <tuple>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/spans/process_text.h"
#include "exporter/model/resource_attributes.h"

namespace spantap {
namespace {

constexpr absl::string_view kUnknownService = "unknown_service";

absl::string_view ExecutableName(absl::string_view path) {
  path = ExecutablePath(path);
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

// Keys that are ours whatever the process's environment says.
bool IsOwnKey(absl::string_view key) {
  return key == "service.name" || key == "process.pid" || absl::StartsWith(key, "process.executable.") ||
         absl::StartsWith(key, "telemetry.sdk.");
}

std::string ValueOf(const ResourceAttributes& attributes, absl::string_view wanted) {
  for (const auto& [key, value] : attributes) {
    if (key == wanted) return value;
  }
  return "";
}

// The record's name if somebody gave it (--service-name, the process's OTEL_SERVICE_NAME), then the process's
// OTEL_RESOURCE_ATTRIBUTES, then what is configured for all, then the executable.
std::string ChooseServiceName(const spantap_process_event& event, const ProcessText& text,
                              const ResourceAttributes& environment, const ResourceAttributes& configured) {
  if ((event.flags & SPANTAP_PROCESS_NAMED) && !text.service_name.empty()) return std::string(text.service_name);
  for (const ResourceAttributes* attributes : {&environment, &configured}) {
    std::string name = ValueOf(*attributes, "service.name");
    if (!name.empty()) return name;
  }
  if (!text.service_name.empty()) return std::string(text.service_name);
  const absl::string_view exe = ExecutableName(text.exe);
  if (exe.empty()) return std::string(kUnknownService);
  return event.listen_port != 0 ? absl::StrCat(exe, ":", event.listen_port) : std::string(exe);
}

void AddSdk(AttributeBlob* attributes) {
  attributes->AddString("telemetry.sdk.name", "spantap");
  attributes->AddString("telemetry.sdk.language", "cpp");
  attributes->AddString("telemetry.sdk.version", SPANTAP_VERSION);
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
  attributes.AddString("service.name", resource->service_name);
  AddFreeKeys(environment, configured, &attributes);
  attributes.AddInt("process.pid", event.header.tgid);
  if (!text.exe.empty()) {
    attributes.AddString("process.executable.name", ExecutableName(text.exe));
    attributes.AddString("process.executable.path", text.exe);
  }
  AddSdk(&attributes);
  return resource;
}

std::shared_ptr<const Resource> MakeUnknown(const ResourceAttributes& configured) {
  auto resource = std::make_shared<Resource>();
  resource->service_name = ValueOf(configured, "service.name");
  if (resource->service_name.empty()) resource->service_name = std::string(kUnknownService);
  resource->attributes.AddString("service.name", resource->service_name);
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
