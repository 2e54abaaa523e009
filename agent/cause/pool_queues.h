// SPDX-License-Identifier: Apache-2.0
//
// Who waited for a connection, of those calls that may have: each round, all handlers are followed as far as is known,
// what they are to call next waits in the queue of its destination, and the calls that were sent to it are aligned with
// that queue (queue_order.h). What tells most is what a handler does when an answer was read: it goes on at once.
//
// Event thread; nothing outlives a round but how often answers are followed by something.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "agent/cause/call_index.h"
#include "agent/cause/learned.h"
#include "agent/cause/pools.h"
#include "agent/cause/queue_order.h"
#include "agent/cause/simulation.h"
#include "agent/cause/window.h"

namespace spantap {

class PoolQueues {
 public:
  PoolQueues(const CauseSettings& settings, const Learned& learned, const Pools& pools, Simulation& simulation)
      : settings_(settings), learned_(learned), pools_(pools), simulation_(simulation) {}
  // For the calls sent since then.
  void Run(const std::vector<Handler*>& open, const std::deque<Handler*>& closed, const CallIndex& calls,
           uint64_t since_ns, uint64_t now_ns);

 private:
  struct Anchor {
    uint32_t who;
    float odds;
  };
  void Align(uint16_t pool, const CallIndex& calls);
  void Follow(uint32_t who, uint16_t pool);
  void Emit(uint32_t who, const Progress& at, Label label, double not_made);
  void Collect(const CallIndex& calls, uint64_t now_ns);
  void FindAnchors(uint32_t who, const Moment& end, Label next, bool dialled, double odds, int depth);
  double Fits(uint32_t who, Call& call);
  void Apply(Call& call, const QueueOrder::Shares& shares);

  const CauseSettings& settings_;
  const Learned& learned_;
  const Pools& pools_;
  Simulation& simulation_;
  absl::flat_hash_map<uint32_t, Trust> anchored_;  // by route and label
  struct Pool {
    float depth = 0;      // calls made before one to it
    float nobody = 0.02;  // share of those sent to it that none of those known to wait made
  };
  std::vector<Pool> state_;
  // Of one round.
  uint64_t since_ns_ = 0;
  std::vector<Handler*> handlers_;
  std::vector<Call*> answered_;  // in order of their answers
  std::vector<std::vector<Anchor>> anchors_;  // of each
  std::vector<QueueOrder::Waiting> waiting_;
  std::vector<QueueOrder::Unsure> unsure_;
};

}  // namespace spantap
