// SPDX-License-Identifier: Apache-2.0
//
// The running kernel as an event source: loads and attaches the programs of bpf/, keeps the target map
// filled, reads the ring buffer, and announces processes and clock offsets as events.
//
// Used by main (through EventSource afterwards). Event thread only, except where noted.
// Needs CAP_BPF and CAP_PERFMON (or root) and, to name processes of other users, CAP_SYS_PTRACE.
// Memory: the ring buffer (Settings::ring_bytes) and one entry per target process.
// bpf_source.cc is the only file that includes libbpf and the skeleton.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/capture/event_source.h"
#include "agent/capture/targets.h"

namespace spantap {

enum class HookFamily : uint8_t { kAuto, kSocket, kSyscall };

struct BpfSettings {
  HookFamily hooks = HookFamily::kAuto;
  uint32_t ring_bytes = 16 << 20;  // a power of two, at least one page
  uint32_t head_bytes = SPANTAP_HEAD_BYTES;
  bool turns = true;  // count loop turns (linking), costs every system call a little while a target needs them
};

class BpfSource final : public EventSource {
 public:
  // Loads, attaches what watches processes, then resolves the targets by /proc (in this order, so that no child is
  // missed). On error nothing stays attached; the message says what to do.
  static absl::StatusOr<std::unique_ptr<BpfSource>> Open(const BpfSettings& settings, const TargetSpec& targets);
  ~BpfSource() override;

  absl::StatusOr<int> Poll(EventSink& sink, int timeout_ms) override;
  bool Finished() const override;  // true when every --pid target (and its descendants) has exited
  void Order(uint64_t conn_id, const spantap_order& order) override;
  void CountTurns(uint32_t tgid, bool on) override;
  SourceCounters Counters() const override;
  void StopCapture() override;
  bool counts_turns() const;  // false if they were not asked for, or this kernel does not allow it

 private:
  struct State;
  explicit BpfSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What this kernel offers, without loading anything ("btf=yes socket-hooks=yes tp_btf=yes").
std::string DescribeKernelSupport();

}  // namespace spantap
