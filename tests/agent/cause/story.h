// SPDX-License-Identifier: Apache-2.0
//
// A hand-written list of what one process did, told to a Judge as it goes: each thread's clock and counters are moved
// by Sleep, Turn and Pass, heads are read and written at the moment that they stand at. One thread.
#pragma once

#include <functional>
#include <map>

#include "tests/agent/cause/judge.h"

namespace spantap {

class Story {
 public:
  explicit Story(uint32_t tgid = 1, const CauseSettings& settings = {}) : judge(settings), tgid_(tgid) {}

  void Thread(uint32_t tid) { tid_ = tid; }
  void Counted(bool counted) { counted_ = counted; }
  void Process(uint32_t tgid) { tgid_ = tgid; }
  void Pass(int64_t us) { ns += static_cast<uint64_t>(us * 1000); }  // back, too
  void Turn(int64_t us = 15) { Pass(us), ++Now().turn; }
  void Sleep(int64_t us) { Turn(us), ++Now().burst; }

  uint64_t In(uint64_t route = 1, TokenList tokens = {}) {
    Told told = Begin(Told::kIncoming);
    told.incoming = {++ids_, Mark(true), route, std::move(tokens)};
    return Done(told, ids_);
  }
  uint64_t Out(uint64_t call, uint64_t connection = 0, TokenList tokens = {}) {
    Told told = Begin(Told::kOutgoing);
    told.outgoing = {++ids_, Mark(false),      false, call, connection == 0 ? 1000 + ids_ : connection,
                     call,   std::move(tokens)};
    return Done(told, ids_);
  }
  void Answer(uint64_t id) { Head(id, true); }
  void Reply(uint64_t id) { Head(id, false), Over(id); }
  void Over(uint64_t id) {
    Told told = Begin(Told::kOver);
    told.id = id;
    Done(told, id);
  }
  void Known(uint64_t id, uint64_t cause) {
    Told told = Begin(Told::kKnown);
    told.id = id, told.cause = cause;
    Done(told, id);
  }
  void End() {
    Told told = Begin(Told::kProcessEnd);
    Done(told, 0);
  }
  void Time() {
    Told told = Begin(Told::kTime);
    Done(told, 0);
  }

  // One request at a time: read, a call in the next turn, its answer after a sleep, the reply in the turn after that.
  void Calm(int times = 200, uint64_t route = 1, uint64_t call = 11) {
    for (int i = 0; i < times; ++i) {
      Sleep(300 + i % 7 * 40);
      const uint64_t in = In(route);
      Turn();
      const uint64_t out = Out(call, 1);
      Sleep(700 + i % 5 * 200);
      Answer(out);
      Turn();
      Reply(in);
    }
  }

  // What was decided, after all is over and some time has passed.
  CauseDecision Cause(uint64_t outgoing) {
    Pass(3'000'000);
    Time();
    const CauseDecision* const decision = judge.Of(outgoing);
    return decision == nullptr ? CauseDecision{0, outgoing, 0, -1, CauseRule::kJoint, "undecided"} : *decision;
  }

  Judge judge;
  uint64_t ns = 10'000'000'000;

 private:
  Moment& Now() { return threads_[tgid_ * 100 + tid_]; }
  Moment Mark(bool read) {
    Moment& at = Now();
    Pass(4);
    at.ns = ns, at.tid = tgid_ * 100 + tid_, at.counted = counted_;
    ++(read ? at.reads : at.writes);
    return at;
  }
  Told Begin(Told::Kind kind) const {
    Told told;
    told.kind = kind, told.tgid = tgid_, told.ns = ns;
    return told;
  }
  uint64_t Done(Told& told, uint64_t id) {
    told.ns = ns;
    judge.Tell(told);
    return id;
  }
  void Head(uint64_t id, bool read) {
    Told told = Begin(Told::kResponse);
    told.id = id, told.at = Mark(read);
    Done(told, id);
  }

  uint32_t tgid_;
  uint32_t tid_ = 1;
  bool counted_ = true;
  std::map<uint32_t, Moment> threads_;
  uint64_t ids_ = 0;
};

}  // namespace spantap
