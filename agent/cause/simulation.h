// SPDX-License-Identifier: Apache-2.0
//
// Runs all open handlers of a process forward, as far as they go straight on: what a handler does next after a read is
// expected in a certain turn of the loop, and a loop does first what was triggered first. When a turn is over, what was
// expected and what was written are aligned in order: most agreement, least left over. Each call gets a proposal whose
// it is; how far proposals can be trusted is measured (Learned::proposals) and enters the scores of timelines as one
// feature. Each reply gets the answer that it followed (Handler::ended), another feature.
//
// Event thread. O(expected * written) for a turn, both at most kMaxTurn. Memory: kMaxExpected entries of 56 bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "agent/cause/call_index.h"
#include "agent/cause/learned.h"
#include "agent/cause/window.h"

namespace spantap {

class Simulation {
 public:
  static constexpr size_t kMaxExpected = 2048;
  static constexpr size_t kMaxTurn = 128;
  static constexpr size_t kMaxThreads = 256;
  Simulation(const CauseSettings& settings, const Learned& learned, const std::vector<Handler*>& open)
      : settings_(settings), learned_(learned), open_(open) {}

  void OnIncoming(Handler& handler);
  void OnOutgoing(Call& call);
  void OnAnswer(Call& call);
  void OnReply(Handler& handler);
  // The call is surely that handler's, whatever was proposed.
  void OnKnown(Call& call, Handler* handler);
  // The order of a queue says so (pool_queues.h).
  void Propose(Call& call, Handler& handler);
  // They go away.
  void Forget(const Handler& handler);
  void Forget(const Call& call);

 private:
  struct Expected {
    Handler* handler;
    Label label;
    uint32_t tid;
    uint32_t due;  // turn of the thread's loop
    uint64_t trigger_ns;
    float log_done, log_left;  // that it happens, or not
    uint8_t depth = 0;         // of what it does after the same read: how much before it
    uint64_t answered = 0;     // the call whose answer that read was
  };
  struct Written {
    Call* call;  // or
    Handler* reply;
    uint64_t ns;
  };
  struct Thread {
    uint32_t turn = 0;
    std::vector<Expected> expected;
    std::vector<Written> written;  // in this turn
  };
  using Due = absl::InlinedVector<Expected, 8>;
  // The best alignment of what was due with what was written: its worth, and how each cell was reached.
  struct Alignment {
    double best = 0;
    absl::InlinedVector<uint8_t, 64> how;
    bool whole = false;  // nothing is left over
  };
  Thread* Advance(const Moment& at);
  void Align(Thread& thread);
  Due TakeDue(Thread& thread);
  Alignment AlignInOrder(const Due& due, absl::Span<const Written> written, absl::Span<const double> leave) const;
  static Due InTurn(const Due& due, absl::Span<const Written> written);
  void AlignReplies(const Due& due, absl::Span<const Written> written) const;
  void Place(Call& call);
  double Match(const Expected& entry, const Written& written) const;
  double Leave(const Written& written) const;
  void Expect(Handler& handler);
  void Take(Call& call, Handler& handler, Proposal kind);
  Handler* OnlyOneWaiting(Label label) const;
  static void Withdraw(Call& call);
  static void Insert(Call& call, Handler& handler, Proposal kind);
  static void Rebuild(Handler& handler);

  const CauseSettings& settings_;
  const Learned& learned_;
  const std::vector<Handler*>& open_;
  absl::flat_hash_map<uint32_t, Thread> threads_;
  std::vector<Expected> overdue_;  // in order of their triggers, nearly
  std::vector<Written> written_;   // in the turn that is over, kept for its memory
  Trust in_turn_{1, 4};            // that a loop does one thing of each read in turn
};

}  // namespace spantap
