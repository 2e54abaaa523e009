// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/learning.h"

namespace spantap {
namespace {

constexpr int kWanted = 3;
constexpr int kTries = 12;
constexpr uint64_t kStride = 7919;  // coprime to any length that occurs

// Where another handler stood at that moment, as far as is known.
Progress StandOf(const Handler& other, uint64_t ns, const Call* besides) {
  Progress progress(other);
  for (Call* own : other.best.calls) {
    if (own->sent.ns >= ns || own == besides) break;
    progress.ReadUntil(own->sent.ns);
    progress.Send(*own);
  }
  progress.ReadUntil(ns);
  return progress;
}

void DrawStrangers(Learned& learned, const Handler& handler, const std::deque<Handler*>& others, uint64_t& draws,
                   const Call* call, const Moment& to) {
  for (int i = 0, found = 0; i < kTries && found < kWanted; ++i) {
    const Handler& other = *others[++draws * kStride % others.size()];
    if (&other == &handler || other.begin.ns >= to.ns || other.end_ns <= to.ns) continue;
    ++found;
    const Progress progress = StandOf(other, to.ns, call);
    const StepContext context = call == nullptr ? progress.Next(kReply) : progress.Next(*call);
    learned.odds.LearnStranger(context, See(progress.Before(to), to, other.begin.tid, learned.odds.HopOf(context)));
  }
}

}  // namespace

void LearnTimeline(Learned& learned, const Handler& handler, const Timeline& timeline, double lasting, double present) {
  Progress progress(handler);
  const auto step = [&](Label next, const Call* call, const Moment& to) {
    progress.ReadUntil(to.ns);
    const StepContext context = call == nullptr ? progress.Next(next) : progress.Next(*call);
    const Sight sight = See(progress.Before(to), to, handler.begin.tid, learned.odds.HopOf(context));
    learned.odds.LearnTrue(context, sight, lasting, present);
    if (lasting > 0) learned.program.Learn(progress.state, next, lasting);
  };
  for (Call* call : timeline.calls) {
    step(call->label, call, call->sent);
    progress.Send(*call);
    if (lasting > 0) learned.LearnToken(handler, *call, lasting);
  }
  step(kReply, nullptr, handler.reply);
}

void LearnStrangers(Learned& learned, const Handler& handler, const std::deque<Handler*>& others, uint64_t& draws) {
  if (others.empty()) return;
  for (const Call* call : handler.best.calls) DrawStrangers(learned, handler, others, draws, call, call->sent);
  DrawStrangers(learned, handler, others, draws, nullptr, handler.reply);
}

}  // namespace spantap
