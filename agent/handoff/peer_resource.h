// SPDX-License-Identifier: Apache-2.0
//
// The resource of a producer's spans (exporter/intake/producer_resource.h) from what /proc says of its process.
//
// Used by handoff.cc, once a producer. Pure.
#pragma once

#include <memory>

#include "agent/capture/targets.h"
#include "exporter/intake/producer_resource.h"

namespace spantap {

// `facts`: tgid 0: nothing is known.
std::shared_ptr<const Resource> MakePeerResource(const Hello& hello, const ProcessFacts& facts,
                                                 const ResourceAttributes& configured);

}  // namespace spantap
