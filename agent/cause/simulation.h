// SPDX-License-Identifier: Apache-2.0
//
// Runs all open handlers of a process forward, as far as they go straight on: what a handler does next after a read is
// expected in a certain turn of the loop, and what is expected first is done first. Each call gets a proposal whose it is; how far
// proposals can be trusted is measured (Learned::proposals) and enters the scores of timelines as one feature.
//
// Event thread. O(expected calls of the label) for a call, O(1) for the rest. Memory: kMaxExpected entries a label.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/cause/timelines.h"
#include "agent/cause/window.h"

namespace spantap {

class Simulation {
 public:
  static constexpr size_t kMaxExpected = 512;
  explicit Simulation(const Learned& learned) : learned_(learned) {}

  void OnIncoming(Handler& handler);
  void OnOutgoing(Call& call, const std::vector<Handler*>& open);
  void OnAnswer(Call& call);
  void OnOver(Handler& handler);
  // The call is surely that handler's, whatever was proposed.
  void OnKnown(Call& call, Handler* handler);

 private:
  struct Expected {
    Handler* handler;
    uint32_t tid;
    uint32_t due;  // turn of the thread's loop
    uint8_t hop;
  };
  void Expect(Handler& handler);
  void Unexpect(const Handler& handler);
  void Take(Call& call, Handler& handler, Proposal kind);
  static void Rebuild(Handler& handler);

  const Learned& learned_;
  std::vector<std::vector<Expected>> expected_;  // by label, in order of what triggered them
};

}  // namespace spantap
