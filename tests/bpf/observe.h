// SPDX-License-Identifier: Apache-2.0
//
// Runs a few lines in a child process while BpfSource observes it, and sorts what came by connection.
// Every observation checks the accounting: captured = delivered + drops, exactly.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/capture/bpf_source.h"

namespace spantap::testing {

// One DATA record; `offset` counts from the first byte seen or announced in its direction.
struct Piece {
  uint64_t position = 0;
  uint64_t offset = 0;
  uint32_t bytes = 0;
  uint32_t copied = 0;
  uint16_t flags = 0;
  uint16_t syscall = 0;
  uint32_t tid = 0;
  spantap_turns turns = {};
  std::string data;

  bool Has(uint16_t flag) const { return (flags & flag) == flag; }
  uint64_t end() const { return offset + bytes; }
};

struct End {
  uint8_t reason = 0;
  bool write = false;
  uint32_t error = 0;
  uint64_t read_offset = 0;
  uint64_t write_offset = 0;
};

struct Connection {
  spantap_open_event open = {};
  std::vector<Piece> in;
  std::vector<Piece> out;
  std::vector<End> ends;
  bool open_came_first = false;

  bool Ended(spantap_end_reason reason) const;
  // What was copied, in order, '~' for each byte that lies between the pieces.
  std::string Text(bool out) const;
};

struct Process {
  std::string exe, name, attributes;
  uint16_t listen_port = 0;
  bool named = false;
};

struct Observation {
  std::map<uint64_t, Connection> connections;  // by conn_id, in the order of opening
  std::vector<uint64_t> order;
  std::map<uint32_t, std::vector<Process>> processes;
  std::vector<spantap_task_event> tasks;
  std::vector<spantap_loss_event> losses;
  size_t clocks = 0;
  SourceCounters counters;
  uint64_t lost = 0;  // sum of what records tell was lost before them
  uint32_t child = 0;
  bool finished_with_child = false;  // BpfSource::Finished() when the child itself had exited
  bool finished = false;             // and within a second after that

  size_t Tasks(uint8_t type) const;
  // The connection whose own port is / whose peer's port is `port`; fails the test if there is not one.
  const Connection& Local(uint16_t port) const;
  const Connection& Peer(uint16_t port) const;
};

struct Observed {
  HookFamily hooks = HookFamily::kAuto;
  uint32_t ring_bytes = 1 << 20;
  uint32_t head_bytes = SPANTAP_HEAD_BYTES;
  bool turns = false;
  // Replaces "the child by pid" as the target.
  std::function<void(TargetSpec& targets, uint32_t child)> targets = nullptr;
  // Called, with everything so far, when the child calls Phase().
  std::function<void(BpfSource& source, Observation& so_far)> on_phase = nullptr;
};

// In the child: `before` runs before the hooks are attached, `act` afterwards, then it exits.
Observation Observe(const Observed& how, const std::function<void()>& before, const std::function<void()>& act);
Observation Observe(const Observed& how, const std::function<void()>& act);

// In the child: hands over to on_phase and waits until it returned.
void Phase();
// In the child: ends it with a message that the parent reports. Catch's macros do not work there.
void Must(bool condition, const char* what);
#define MUST(condition) ::spantap::testing::Must((condition), #condition)
// Shared between child and parent.
struct Notes {
  uint16_t port = 0;
  uint16_t other_port = 0;
  uint64_t numbers[8] = {};
};
Notes& Shared();

// False, with the reason on stderr, where programs cannot be loaded (no root).
bool CanLoad();
// Both families, or the one that this kernel has.
std::vector<HookFamily> Families();

}  // namespace spantap::testing
