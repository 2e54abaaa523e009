// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/peer_resource.h"

namespace spantap {

std::shared_ptr<const Resource> MakePeerResource(const Hello& hello, const ProcessFacts& facts,
                                                 const ResourceAttributes& configured) {
  ProducerFacts known;
  known.pid = facts.tgid;
  known.executable = facts.exe;
  known.listen_port = facts.listen_port;
  known.service_name = facts.otel_service_name;
  known.resource_attributes = facts.otel_resource_attributes;
  return MakeProducerResource(hello, known, configured);
}

}  // namespace spantap
