// SPDX-License-Identifier: Apache-2.0
//
// Who may have a ring, and how large: the limits of connections, bytes and attachments, in all, by user and by process,
// and the memory of those that lied.
//
// Used by handoff.cc. One thread. Memory: one entry per user and process that holds a ring or was seen lately; at most
// kMaxEntries of each, then newcomers are refused.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "agent/handoff/handoff_settings.h"

namespace spantap {

// By SO_PEERCRED. pid 0: of a pid namespace that is not seen from here; those of one user count as one process.
struct Peer {
  uid_t uid = 0;
  pid_t pid = 0;
};

class Admission {
 public:
  static constexpr size_t kMaxEntries = 4096;
  static constexpr uint64_t kQuarantineNs = 10'000'000'000;

  explicit Admission(const HandoffSettings& settings)
      : limits_(settings.limits), allowed_uids_(settings.allowed_uids) {}

  struct Answer {
    int error = 0;            // an errno, EACCES, EMFILE or ENOMEM; or
    uint64_t data_bytes = 0;  // of the ring: at most the wish, rounded up to what the layout allows
  };
  // Counts the ring as held, until Release().
  Answer Admit(const Peer& peer, uint32_t wished_bytes, uint64_t mono_ns);
  void Release(const Peer& peer, uint64_t data_bytes);
  // This process gets no ring for kQuarantineNs.
  void Quarantine(const Peer& peer, uint64_t mono_ns);

 private:
  struct Held {
    size_t connections = 0;
    uint64_t bytes = 0;
  };
  struct User {
    Held held;
    double tokens = 0;
    uint64_t tokens_ns = 0;  // when they were counted
  };
  struct Process {
    Held held;
    uint64_t refused_until_ns = 0;
  };
  using ProcessKey = std::pair<uid_t, pid_t>;

  bool Allowed(uid_t uid) const;
  bool TakeToken(User& user, uint64_t mono_ns) const;
  void ForgetIdle(uint64_t mono_ns);

  const HandoffLimits limits_;
  const std::vector<uid_t> allowed_uids_;
  Held all_;
  absl::flat_hash_map<uid_t, User> users_;
  absl::flat_hash_map<ProcessKey, Process> processes_;
};

}  // namespace spantap
