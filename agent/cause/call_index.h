// SPDX-License-Identifier: Apache-2.0
//
// The calls of one process, to be found by label and time, or by the turn of a thread's loop in which they were sent.
// Owns nothing. Event thread. Memory: at most 44 bytes a call.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "agent/cause/window.h"

namespace spantap {

bool SentBefore(const Call* a, const Call* b);

class CallIndex {
 public:
  using Calls = absl::Span<Call* const>;

  void Add(Call& call);
  // In order of sending: those sent at or after `from` and not later than `until`.
  Calls Between(Label label, uint64_t from_ns, uint64_t until_ns) const;
  // Those a thread sent in this turn of its loop.
  Calls InTurn(Label label, uint32_t tid, uint32_t turn) const;
  // Those that may have waited for a connection, and those for which one was dialled.
  Calls Late(Label label, uint64_t from_ns, uint64_t until_ns) const;
  // That sent any of them.
  size_t threads() const { return threads_.size(); }
  size_t labels() const { return by_label_.size(); }
  // Drops all that were sent before.
  void Trim(uint64_t before_ns);

 private:
  // In order of sending. What is looked for is beside the calls: a search need not touch them.
  template <class Key>
  struct List {
    std::vector<Call*> calls;
    std::vector<Key> keys;
    void Insert(Call& call, Key key);
    void DropBefore(uint64_t ns);
  };
  using Sent = List<uint64_t>;  // ns
  using Turns = List<uint32_t>;
  static Calls Cut(const Sent& list, uint64_t from_ns, uint64_t until_ns);

  std::vector<Sent> by_label_;
  std::vector<Sent> late_;
  absl::flat_hash_map<uint64_t, Turns> by_thread_;   // by label and thread
  absl::flat_hash_map<uint32_t, uint64_t> threads_;  // when each sent last
};

}  // namespace spantap
