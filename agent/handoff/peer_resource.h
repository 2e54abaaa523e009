// SPDX-License-Identifier: Apache-2.0
//
// The resource of a producer's spans. The name and free attributes are the producer's to say; who it is (process.*) and
// who speaks (telemetry.sdk.*) are the agent's, from SO_PEERCRED and /proc.
//
// Used by handoff.cc, once a producer: reads /proc (about 0.2 ms). Memory: one Resource, bounded by the hello.
#pragma once

#include <memory>

#include "agent/capture/targets.h"
#include "agent/handoff/hello.h"
#include "agent/spans/resource_attributes.h"
#include "exporter/model/span.h"

namespace spantap {

// service.name, the first there is: the hello's; OTEL_SERVICE_NAME of the process; service.name of its
// OTEL_RESOURCE_ATTRIBUTES; that of `configured`; its executable, with its port if it listens; "unknown_service".
// Pure. `facts`: tgid 0: nothing is known.
std::shared_ptr<const Resource> MakePeerResource(const Hello& hello, const ProcessFacts& facts,
                                                 const ResourceAttributes& configured);

}  // namespace spantap
