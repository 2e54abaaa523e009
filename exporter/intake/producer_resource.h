// SPDX-License-Identifier: Apache-2.0
//
// The resource of a producer's spans. The name and free attributes are the producer's to say; who it is (process.*) and
// who speaks (telemetry.sdk.*) are the reader's.
//
// Used by agent/handoff and exporter/embedded, once a producer. Pure. Memory: one Resource, bounded by the hello.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "exporter/intake/hello.h"
#include "exporter/model/resource_attributes.h"
#include "exporter/model/span.h"

namespace spantap {

// What the reader knows of the producer's process.
struct ProducerFacts {
  uint32_t pid = 0;                 // 0: not known
  std::string executable;           // path; empty: not known
  uint16_t listen_port = 0;         // 0: none
  std::string service_name;         // its OTEL_SERVICE_NAME
  std::string resource_attributes;  // its OTEL_RESOURCE_ATTRIBUTES
};

// service.name, the first there is: the hello's; OTEL_SERVICE_NAME of the process; service.name of its
// OTEL_RESOURCE_ATTRIBUTES; that of `configured`; its executable, with its port if it listens; "unknown_service".
std::shared_ptr<const Resource> MakeProducerResource(const Hello& hello, const ProducerFacts& facts,
                                                     const ResourceAttributes& configured);

}  // namespace spantap
