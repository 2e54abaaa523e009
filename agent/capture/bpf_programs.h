// SPDX-License-Identifier: Apache-2.0
//
// The eBPF object: opened, set up, loaded, attached, read. bpf_programs.cc is the only file that
// includes libbpf and the skeleton; everything else of the live source talks in plain values.
//
// Used by BpfSource and TargetSet. Event thread only.
// Memory: the maps of bpf/maps.bpf.h (about 7 MiB in the kernel) and the ring. Nothing is pinned: the
// kernel removes programs and maps when this object, or its process, is gone.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/capture/bpf_source.h"

namespace spantap {

// What can become a target inside the kernel; see bpf/target.bpf.h.
struct KernelTargets {
  std::vector<std::string> names;  // compared with comm: the first 15 characters
  std::vector<uint16_t> ports;
  std::vector<std::pair<uint64_t, uint32_t>> cgroups;  // id and level below the hierarchy's root
};

class BpfPrograms {
 public:
  // Loads the programs of the family that the settings and the kernel allow, and attaches those that
  // watch processes and connections. The calling process is marked as never observed first.
  static absl::StatusOr<std::unique_ptr<BpfPrograms>> Load(const BpfSettings& settings, const KernelTargets& targets);
  ~BpfPrograms();

  uint32_t target_flags() const;  // for a process that the agent adds

  absl::Status AddTarget(uint32_t tgid, uint32_t flags);
  bool IsTarget(uint32_t tgid) const;
  // Attaches or detaches the hooks that every socket call (or system call) of the machine pays for: those that take
  // data while there is a target, those that count turns while a target's are counted.
  absl::Status AttachAsNeeded();
  // Of a target; its children are as it is when they are forked. Without effect if nothing is counted.
  void CountTurns(uint32_t tgid, bool on);
  void SetOrder(uint64_t conn_id, const spantap_order& order);
  std::array<uint64_t, SPANTAP_COUNT_MAX> ReadCounters() const;

  // Passes at most `limit` records on; returns how many.
  int Consume(int limit, const std::function<void(const void* record, size_t size)>& on_record);
  // Sleeps until the ring passes its fill mark, at most `timeout_ms`. Returns at once if anything lies
  // in the ring: for a reader that has just emptied it.
  void Sleep(int timeout_ms);
  // Detaches everything and waits until no program runs any more. What is in the ring stays readable.
  void Detach();

 private:
  uint32_t FlagsOf(uint32_t tgid) const;
  uint32_t TargetFlags() const;  // those that any target has; the agent itself is none

  struct State;
  explicit BpfPrograms(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spantap
