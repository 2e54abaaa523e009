// SPDX-License-Identifier: Apache-2.0
//
// Where a handler stands on a timeline: what it did last, what it has called so far, which answers are outstanding.
#pragma once

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "agent/cause/odds.h"
#include "agent/cause/program.h"

namespace spantap {

struct Call;
struct Handler;

struct Progress {
  HandlerState state;
  Last last = Last::kRequest;
  Label last_label = 0;
  Moment at;
  Moment read;            // when the request or the answer was read that was read last
  uint64_t freed = 0;     // the connection that the answer read last came on, if nothing was done since
  uint64_t answered = 0;  // the call that it answered
  absl::InlinedVector<Call*, 4> outstanding;

  Progress() = default;
  explicit Progress(const Handler& handler);
  // Takes the answers that were read until `ns`; what has no answer yet stays outstanding.
  void ReadUntil(uint64_t ns);
  // Takes those that were read first, if that was until `ns`; whether there were any.
  bool ReadNext(uint64_t ns);
  void Send(Call& call);
  // It was made so many turns of the loop from here, and sent when a connection became free.
  void Await(Call& call, uint8_t hop);
  // A call that is expected: changes what is to follow, not what was last seen.
  void Imagine(Label label);
  // What a step to there is measured from: of calls made on several threads, the one on its own goes on from the read.
  const Moment& Before(const Moment& to) const {
    return last == Last::kCall && at.tid != to.tid && read.tid == to.tid ? read : at;
  }
  // The context of what comes next: a usual call of that label or the reply, or this very call.
  StepContext Next(Label label) const { return {state.route, last, last_label, label}; }
  StepContext Next(const Call& call) const;
  // Whether it waited for a connection. On one that its own answer has just freed it goes straight on.
  bool Waited(const Call& call) const;
  bool Reuses(const Call& call) const;  // the same where there are connections enough
};

}  // namespace spantap
