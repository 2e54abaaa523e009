// SPDX-License-Identifier: Apache-2.0
//
// What one process has open or undecided: its handlers (incoming requests being served) and calls (outgoing requests).
// A handler's timeline is a set of calls that it may have made. Owned by ProcessCauses; event thread.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "agent/cause/events.h"
#include "agent/cause/odds.h"
#include "agent/cause/progress.h"

namespace spantap {

struct Handler;
inline constexpr uint32_t kNoNumber = 0xffffffff;
inline constexpr double kNothing = -99;    // logarithm of no weight
inline constexpr double kLogUnknown = -6;  // weight of a handler having done something that no timeline shows

// Why the simulation (simulation.h) thinks that a call is a handler's.
enum class Proposal : uint8_t {
  kDue,    // it was expected in this turn
  kQueue,  // it was expected earlier, and waited for a connection
  kAlone,  // one handler waits for something after which it is sent
  kKnown,
};
inline constexpr size_t kProposals = 4;

struct Call {
  uint64_t id = 0;
  Label label = 0;
  bool reuses = false;    // its connection had just become free
  bool dequeued = false;  // ... and it may have waited for that
  bool dialled = false;
  bool answered = false;
  bool decided = false;    // a decision was made, or the cause is known
  bool contested = false;  // `likely`, by several handlers
  bool nobodys = false;    // certainly no handler's
  Proposal proposal = Proposal::kDue;
  Moment sent;
  double looks = 0;        // scratch of searches for timelines (timelines.cc): what the last one found,
  uint32_t looked_by = 0;  // and which that was
  uint32_t number = 0;     // scratch of one round of decisions
  Moment answer;
  uint64_t connection = 0;
  uint32_t open = 0;  // handlers, when it was sent
  uint16_t pool = 0;  // number of its destination (pools.h)
  TokenList tokens;
  Handler* owner = nullptr;   // for sure
  Handler* likely = nullptr;  // a handler that went straight on has been found to have made it: nobody else looks
  Handler* proposed = nullptr;
  absl::InlinedVector<std::pair<uint64_t, float>, 2> shares;  // handlers whose it may be by the order of the queue
};

struct Timeline {
  double score = 0;
  absl::InlinedVector<Call*, 4> calls;  // in order of sending
};

struct Handler {
  uint64_t id = 0;
  uint16_t route = 0;
  bool over = false;      // replied, or given up
  bool replied = false;   // `reply` is valid
  bool finished = false;  // its reply has been sent to the end
  bool alone = true;      // no other was open while it was
  bool searched = false;  // `timelines` is there
  bool waits = false;     // for something that cannot be seen, before some call: searched after the others
  bool tried = false;     // found to wait
  bool resolved = false;  // nothing about it is open
  bool released = false;  // told so
  Moment begin;
  Moment reply;
  uint64_t end_ns = 0;
  TokenList tokens;
  std::vector<Call*> own;  // for sure, in order of sending
  std::vector<Timeline> timelines;
  std::vector<Call*> reserved;  // those whose `likely` it was made
  Progress simulated;
  std::vector<Call*> proposed;
  uint64_t ended = 0;  // the call whose answer it replied upon, by the order of the loop; 0: unknown
  Timeline best;       // the likeliest, so far
  double best_probability = 0;
  double dropped = kNothing;  // logarithm of what timelines weigh together that the search had no place for
};

// How probable the queue says it is that the call is the handler's.
inline double ShareOf(const Handler& handler, const Call& call) {
  for (const auto& [id, probability] : call.shares) {
    if (id == handler.id) return probability;
  }
  return 0;
}

// ... and that it is somebody else's.
inline bool RuledOut(const Handler& handler, const Call& call) {
  double known = 0;
  for (const auto& [id, probability] : call.shares) {
    if (id == handler.id) return false;
    known += probability;
  }
  return known > 0.6;
}

}  // namespace spantap
