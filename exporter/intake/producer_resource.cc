// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/producer_resource.h"

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "exporter/model/process_resource.h"
#include "exporter/model/utf8.h"
#include "spantap/spantap.h"

namespace spantap {
namespace {

bool IsOwnKey(absl::string_view key) {
  return key == kServiceName || absl::StartsWith(key, "process.") || absl::StartsWith(key, "telemetry.sdk.");
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

}  // namespace

std::shared_ptr<const Resource> MakeProducerResource(const Hello& hello, const ProducerFacts& facts,
                                                     const ResourceAttributes& configured) {
  const ResourceAttributes environment =
      ParseResourceAttributes(facts.resource_attributes).value_or(ResourceAttributes());
  auto resource = std::make_shared<Resource>();
  for (const std::string& name :
       {HelloName(hello), facts.service_name, ResourceValue(environment, kServiceName),
        ResourceValue(configured, kServiceName), ServiceOfExecutable(facts.executable, facts.listen_port)}) {
    resource->service_name = name;
    if (!name.empty()) break;
  }
  resource->attributes.AddString(kServiceName, resource->service_name);
  AddFreeKeys(hello, environment, configured, resource.get());
  if (facts.pid != 0) resource->attributes.AddInt("process.pid", facts.pid);
  AddExecutable(facts.executable, &resource->attributes);
  AddSdk(&resource->attributes);
  return resource;
}

}  // namespace spantap
