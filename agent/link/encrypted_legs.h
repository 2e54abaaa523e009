// SPDX-License-Identifier: Apache-2.0
//
// Which observed processes call which over connections that nobody can read (TLS between two proxies). The two ends are
// one connection if the one's own address and port are the other's peer: whatever translates the server's address.
//
// Used by encrypted_rule.cc. Event thread only. Memory: kEnds ends whose other end was not seen yet (the oldest makes
// place), kMaxProcesses with kMaxCallers each.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/connections/exchange.h"

namespace spantap {

class EncryptedLegs {
 public:
  static constexpr size_t kEnds = 4096;
  static constexpr size_t kMaxProcesses = 1024;
  static constexpr size_t kMaxCallers = 64;

  // An end of a connection turned out to be unreadable.
  void Add(uint32_t tgid, const ConnectionEnds& ends, Opener opener);
  void Forget(uint32_t tgid);

  bool Dials(uint32_t tgid) const;
  bool Takes(uint32_t tgid) const;
  // Some connection of these two is one.
  bool Calls(uint32_t caller, uint32_t called) const;
  // It was called by somebody who is not observed; or its callers are too many.
  bool HasStrangers(uint32_t tgid) const;

 private:
  // One whose other end was not seen yet; by the address of the dialling end.
  struct End {
    uint32_t dialler = 0;
    uint32_t taker = 0;
    uint32_t place = 0;  // in order_
  };
  struct Process {
    bool dials = false;
    bool crowded = false;
    uint32_t taken = 0;    // connections accepted
    uint32_t matched = 0;  // of these, whose other end is known
    std::vector<uint32_t> callers;
  };

  Process* Of(uint32_t tgid);
  const Process* Find(uint32_t tgid) const;
  End& EndOf(uint64_t key);
  void Match(const End& end);

  absl::flat_hash_map<uint64_t, End> ends_;
  std::vector<uint64_t> order_;  // their keys, as they came, round and round
  size_t next_ = 0;
  absl::flat_hash_map<uint32_t, Process> processes_;
};

}  // namespace spantap
