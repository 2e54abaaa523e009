// SPDX-License-Identifier: Apache-2.0
//
// An event loop on one thread, told to a simulation that was taught what its handlers do.
#pragma once

#include <deque>
#include <vector>

#include "agent/cause/simulation.h"

namespace spantap::cause_test {

class Loop {
 public:
  Loop() : learned_(settings_), simulation(settings_, learned_, open_) {}

  // From `at`, handlers do that next, `hop` turns later; `at` goes on behind it.
  void Learn(Progress& at, Label next, uint32_t hop) {
    const StepContext context = at.Next(next);
    for (int i = 0; i < 100; ++i) {
      const Moment from = Now();
      Moment to = Now();
      to.turn += hop;
      learned_.odds.LearnTrue(context, See(from, to, 1, learned_.odds.HopOf(context)), 1, 1);
      learned_.program.Learn(at.state, next, 1);
    }
    if (next != kReply) at.Imagine(next);
  }

  Handler& In() {
    Handler& handler = handlers_.emplace_back();
    handler.id = handlers_.size();
    handler.begin = Now();
    open_.push_back(&handler);
    simulation.OnIncoming(handler);
    return handler;
  }
  Call& Out(Label label) {
    Call& call = calls_.emplace_back();
    call.id = 1000 + calls_.size();
    call.label = label;
    call.sent = Now();
    simulation.OnOutgoing(call);
    return call;
  }
  void Answer(Call& call) {
    call.answered = true;
    call.answer = Now();
    simulation.OnAnswer(call);
  }
  void Reply(Handler& handler) {
    handler.replied = handler.over = true;
    handler.reply = Now();
    handler.end_ns = handler.reply.ns;
    simulation.OnReply(handler);
  }
  void Turn() { ++turn_; }
  // Nothing is read, but the loop has gone on.
  void Finish() {
    Turn();
    Handler& last = In();
    open_.pop_back();
    simulation.Forget(last);
  }

 private:
  Moment Now() {
    ns_ += 4000;
    return {ns_, 1, turn_, 0, 0, 0, true};
  }
  const CauseSettings settings_;
  Learned learned_;
  std::vector<Handler*> open_;
  std::deque<Handler> handlers_;
  std::deque<Call> calls_;
  uint64_t ns_ = 1'000'000;
  uint32_t turn_ = 1;

 public:
  Simulation simulation;
};

}  // namespace spantap::cause_test
