// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/producer_resource.h"

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "exporter/model/utf8.h"
#include "spantap/spantap.h"

namespace spantap {
namespace {

constexpr absl::string_view kServiceName = "service.name";

bool IsOwnKey(absl::string_view key) {
  return key == kServiceName || absl::StartsWith(key, "process.") || absl::StartsWith(key, "telemetry.sdk.");
}

absl::string_view ExecutableName(absl::string_view path) {
  path = absl::StripSuffix(path, " (deleted)");
  return path.substr(path.rfind('/') + 1);
}

std::string ValueOf(const ResourceAttributes& attributes, absl::string_view wanted) {
  for (const auto& [key, value] : attributes) {
    if (key == wanted) return value;
  }
  return "";
}

std::string HelloName(const Hello& hello) {
  std::string repaired;
  for (const RecordAttribute& attribute : hello.attributes) {
    if (attribute.name == kServiceName && attribute.type == SPANTAP_STRING) {
      return std::string(RepairUtf8(attribute.text.substr(0, kMaxAttributeValueBytes), &repaired));
    }
  }
  return "";
}

std::string ExecutableService(const ProducerFacts& facts) {
  const absl::string_view exe = ExecutableName(facts.executable);
  if (exe.empty()) return "unknown_service";
  return facts.listen_port != 0 ? absl::StrCat(exe, ":", facts.listen_port) : std::string(exe);
}

// What the peer says of itself, then what its environment adds, then what is configured for all.
void AddFreeKeys(const Hello& hello, const ResourceAttributes& environment, const ResourceAttributes& configured,
                 Resource* resource) {
  absl::flat_hash_set<absl::string_view> taken;
  for (const RecordAttribute& attribute : hello.attributes) {
    if (!IsOwnKey(attribute.name) && taken.insert(attribute.name).second) {
      AppendAttribute(attribute, &resource->attributes);
    }
  }
  resource->dropped_attributes = hello.attributes.unknown();
  for (const ResourceAttributes* list : {&environment, &configured}) {
    for (const auto& [key, value] : *list) {
      if (!IsOwnKey(key) && taken.insert(key).second) resource->attributes.AddString(key, value);
    }
  }
}

void AddOwnKeys(const ProducerFacts& facts, AttributeBlob* attributes) {
  if (facts.pid != 0) attributes->AddInt("process.pid", facts.pid);
  if (!facts.executable.empty()) {
    attributes->AddString("process.executable.name", ExecutableName(facts.executable));
    attributes->AddString("process.executable.path", facts.executable);
  }
  attributes->AddString("telemetry.sdk.name", "spantap");
  attributes->AddString("telemetry.sdk.language", "cpp");
  attributes->AddString("telemetry.sdk.version", SPANTAP_VERSION);
}

}  // namespace

std::shared_ptr<const Resource> MakeProducerResource(const Hello& hello, const ProducerFacts& facts,
                                                     const ResourceAttributes& configured) {
  const ResourceAttributes environment =
      ParseResourceAttributes(facts.resource_attributes).value_or(ResourceAttributes());
  auto resource = std::make_shared<Resource>();
  for (const std::string& name : {HelloName(hello), facts.service_name, ValueOf(environment, kServiceName),
                                  ValueOf(configured, kServiceName), ExecutableService(facts)}) {
    resource->service_name = name;
    if (!name.empty()) break;
  }
  resource->attributes.AddString(kServiceName, resource->service_name);
  AddFreeKeys(hello, environment, configured, resource.get());
  AddOwnKeys(facts, &resource->attributes);
  return resource;
}

}  // namespace spantap
