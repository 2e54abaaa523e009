// SPDX-License-Identifier: Apache-2.0
//
// Whose the calls are that may have waited for a connection. Before each round all handlers are followed as far as is
// known; what they are to call next waits in the queue of its destination, and what was sent to it is aligned with that
// queue (queue_order.h). What keeps the two together is what handlers do as soon as an answer was read: they reply, or
// call and then reply. Each call gets its likely handlers (Call::shares), and the likeliest as its proposal.
//
// Used by ProcessCauses. Event thread. Memory between rounds: kMaxFollowed numbers. In a round: 40 bytes for each call
// that is undecided and each that is expected, and QueueOrder's.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "agent/cause/call_index.h"
#include "agent/cause/learned.h"
#include "agent/cause/pools.h"
#include "agent/cause/queue_order.h"
#include "agent/cause/simulation.h"

namespace spantap {

class PoolQueues {
 public:
  static constexpr size_t kMaxFollowed = 1024;
  static constexpr size_t kMaxExpected = 2048;
  PoolQueues(const CauseSettings& settings, const Learned& learned, const Pools& pools, Simulation& simulation)
      : settings_(settings), learned_(learned), pools_(pools), simulation_(simulation) {}

  // Of the calls sent since then; earlier ones are decided. `closed` and `open`: all handlers.
  void Run(const std::deque<Handler*>& closed, const std::vector<Handler*>& open, const CallIndex& calls,
           uint64_t since_ns);

 private:
  struct Anchor {
    uint32_t who;
    float odds;
    double ratio = 0;  // which these are the logarithm of, once all are known
  };
  struct Pool {
    float depth = 0;       // calls that handlers make before one to it
    float nobody = 0.02f;  // share of calls that none of those known to wait made
  };
  struct Walk;
  void Collect(const CallIndex& calls);
  void FindAnchors(uint32_t who, const Moment& end, Label next, bool dialled, double odds, int depth);
  // What is known of going on at once after an answer.
  struct AtOnce {
    bool known = false, usual = false;
    uint8_t hop = kAnyHop;
  };
  double AnchorOdds(const Handler& handler, const Call& call, const Moment& end, const StepContext& context,
                    AtOnce& at_once) const;
  void Follow(uint32_t who, uint16_t pool);
  Label Choose(const Walk& walk) const;
  bool Step(Walk& walk, Label label) const;
  void Expect(const Walk& walk, Label label);
  void Sort();
  double Fits(uint32_t who, const Call& call) const;
  std::vector<QueueOrder::Sent> SentOf(uint16_t pool, const std::vector<Call*>& calls) const;
  void Align(uint16_t pool, const CallIndex& calls);
  void Apply(Call& call, const QueueOrder::Shares& shares, Pool& pool);

  const CauseSettings& settings_;
  const Learned& learned_;
  const Pools& pools_;
  Simulation& simulation_;
  absl::flat_hash_map<uint32_t, Trust> followed_;  // by route and label: that the answer is seen to be followed
  std::vector<Pool> state_;
  // Of one round.
  uint64_t since_ns_ = 0;
  size_t looks_ = 0, steps_ = 0;  // left
  std::vector<Handler*> handlers_;
  std::vector<Call*> answered_;               // in order of their answers
  std::vector<std::vector<Anchor>> anchors_;  // of each of these
  std::vector<QueueOrder::Waiting> waiting_;
  std::vector<QueueOrder::Unsure> unsure_;
};

}  // namespace spantap
