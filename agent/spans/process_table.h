// SPDX-License-Identifier: Apache-2.0
//
// Who a tgid is: the resource of its spans. Fed by SPANTAP_EVENT_PROCESS records, so that a replay
// names services as the live run did.
//
// Event thread only. Memory: at most kMaxProcesses, ended ones and then the longest unused are forgotten.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "agent/capture/event_source.h"
#include "exporter/model/resource_attributes.h"
#include "exporter/model/span.h"

namespace spantap {

class ProcessTable {
 public:
  static constexpr size_t kMaxProcesses = 4096;
  // `configured`: attributes of every process's resource; what is found out about the process wins. A service.name
  // among them is that of processes that nobody named.
  explicit ProcessTable(ResourceAttributes configured = {}) : configured_(std::move(configured)) {}

  void OnProcess(const spantap_process_event& event, absl::string_view record);
  // What the process says of itself when it hands a span off: it is one service, whoever tells of it. What somebody
  // chose for it here (--service-name, OTEL_SERVICE_NAME) stays; of several producers the first counts.
  void OnHanded(uint32_t tgid, const std::shared_ptr<const Resource>& resource);
  void OnExit(uint32_t tgid);  // kept for late spans until a new process takes the pid, or the cap
  // Never null; "unknown_service" for a pid never announced. Cost: one hash lookup. The reference is
  // valid until the next call.
  const std::shared_ptr<const Resource>& ResourceOf(uint32_t tgid);
  size_t size() const { return processes_.size(); }

 private:
  struct Process {
    std::shared_ptr<const Resource> resource;
    uint64_t last_use = 0;
    bool ended = false;
    bool named = false;  // or told by itself
  };
  void ForgetOne();

  const ResourceAttributes configured_;
  absl::flat_hash_map<uint32_t, Process> processes_;
  std::shared_ptr<const Resource> unknown_;
  uint64_t uses_ = 0;
};

}  // namespace spantap
