// SPDX-License-Identifier: Apache-2.0
//
// One process of a CauseFinder: its window, what was learned about it, and the rounds of decisions.
//
// A round: every handler that is over gets its timelines; all of them together with the calls they want are one
// assignment; calls that nobody still open may have made are decided; what became certain limits the next round and is
// learned from. Rounds are made as often as Period() says, in the events' time. Event thread.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/cause/cause_finder.h"
#include "agent/cause/pool_queues.h"
#include "agent/cause/pools.h"
#include "agent/cause/round.h"
#include "agent/cause/simulation.h"
#include "agent/cause/timelines.h"
#include "agent/cause/window.h"

namespace spantap {

// Where decisions of all processes come together.
struct CauseOutput {
  std::vector<CauseDecision> decisions;
  std::vector<uint64_t> released;
};

class ProcessCauses {
 public:
  ProcessCauses(uint32_t tgid, const CauseSettings& settings, CauseCounters& counters, CauseOutput& output);

  void OnIncoming(IncomingRequest request);
  void OnOutgoing(OutgoingRequest request);
  void OnResponse(uint64_t id, const Moment& at);
  void OnOver(uint64_t id, uint64_t ns);
  void OnKnown(uint64_t outgoing, uint64_t incoming);
  void OnTime(uint64_t ns);
  void Flush();
  // Flush, and nothing will follow: all are released.
  void End();

  // What outlives the process (process_memory.cc). Routes take over what is remembered of them when they are first met.
  void Remember(LearnedImage image) { remembered_ = std::move(image); }
  LearnedImage Image() const;

  // Nothing is open or undecided.
  bool idle() const { return undecided_ == 0 && open_.empty() && resolved_ == closed_.size(); }
  uint64_t last_used_ns() const { return used_ns_; }

 private:
  void Over(Handler& handler, uint64_t ns);
  uint64_t Period() const;  // of rounds
  void MaybeRound();
  void Round(bool all);
  void Reserve(Handler& handler);
  uint64_t Search(TimelineSearch& search, uint64_t frontier);
  void DecideDue(const DecisionRound& round, uint64_t frontier);
  void Decide(Call& call, const DecisionRound::Finding& found);
  void Give(Call& call, Handler& handler);
  void Resolve(Handler& handler);
  void TakeAll(Handler& handler) const;
  void Trim(uint64_t frontier);
  void DropHandlers();
  void Release(Handler& handler);
  void DropCall(Call& call);
  uint64_t Frontier(bool all) const;
  Label LabelOf(uint64_t call);
  uint16_t RouteOf(uint64_t route);
  void Recall(uint64_t route, uint16_t number);

  const uint32_t tgid_;
  const CauseSettings& settings_;
  CauseCounters& counters_;
  CauseOutput& output_;
  Learned learned_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Handler>> handlers_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Call>> calls_;
  std::vector<Handler*> open_;   // in order of arrival
  std::deque<Handler*> closed_;  // in order of their end
  Simulation simulation_;
  Pools pools_;
  PoolQueues queues_;
  CallIndex index_;
  absl::flat_hash_map<uint64_t, Moment> answered_;  // connection -> when an answer was read from it last
  absl::flat_hash_map<uint64_t, Label> labels_;
  struct Route {
    uint16_t number;
    uint64_t used_ns;
  };
  absl::flat_hash_map<uint64_t, Route> routes_;
  size_t resolved_ = 0;      // of closed_
  size_t streaming_ = 0;     // handlers whose reply has begun and not ended
  uint64_t decided_ns_ = 0;  // calls sent before are decided
  uint64_t trimmed_ns_ = 0;  // calls sent before are gone
  LearnedImage remembered_;
  uint64_t undecided_ = 0;
  uint64_t now_ns_ = 0;
  uint64_t used_ns_ = 0;
  uint64_t round_ns_ = 0;
  uint64_t draws_ = 0;  // of strangers
};

}  // namespace spantap
