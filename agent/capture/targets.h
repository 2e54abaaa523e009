// SPDX-License-Identifier: Apache-2.0
//
// Which processes are observed: what the user named, and what /proc says about it. Privileged side.
//
// Values and pure functions over /proc; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spantap {

// A union; empty means nothing is observed.
struct TargetSpec {
  std::vector<uint32_t> pids;        // with their descendants
  std::vector<std::string> exes;     // file names of executables ("nginx"), running or started later
  std::vector<uint16_t> ports;       // whoever listens on this TCP port, now or later
  std::vector<std::string> cgroups;  // cgroup v2 paths, as given or below the mount point
  // --service-name: for all, or for the processes a target matched ("nginx=front", "8080=front").
  std::string service_name;
  std::vector<std::pair<std::string, std::string>> service_names;
  bool empty() const { return pids.empty() && exes.empty() && ports.empty() && cgroups.empty(); }
};

struct ProcessFacts {
  uint32_t tgid = 0;
  uint32_t parent = 0;
  uint64_t start_mono_ns = 0;
  std::string exe;  // resolved path, "" if not readable
  std::string comm;
  std::string otel_service_name;  // the process's own OTEL_SERVICE_NAME
  std::string otel_resource_attributes;
  uint16_t listen_port = 0;  // lowest TCP port it listens on
};

// Reads /proc/<tgid>; NotFound if there is no such process.
absl::StatusOr<ProcessFacts> ReadProcess(uint32_t tgid);
// All processes, each with its parent (for descendants), cheaply.
std::vector<std::pair<uint32_t, uint32_t>> ListProcesses();
// Processes that listen on this TCP port in their own network namespace.
std::vector<uint32_t> ListenersOn(uint16_t port);
// True if this process's pid namespace is the initial one (tgids then need no translation).
bool InInitialPidNamespace();

}  // namespace spantap
