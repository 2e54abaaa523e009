// SPDX-License-Identifier: Apache-2.0
//
// The search for what a handler may have done: from its request, through calls that it may have sent (each step scored
// by Odds and Program), to its reply. A beam: of the partial timelines with equally many calls, the best go on. Bounded
// by CauseSettings::max_hypotheses and max_steps. Reads the window, changes only the handler's timelines.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/cause/call_index.h"
#include "agent/cause/cause_finder.h"
#include "agent/cause/learned.h"
#include "agent/cause/window.h"

namespace spantap {

class TimelineSearch {
 public:
  TimelineSearch(const CauseSettings& settings, const Learned& learned, CauseCounters& counters)
      : settings_(settings), learned_(learned), counters_(counters) {}

  // `waiting`: whether handlers that wait for something unseen are searched, too; else they are only found to be.
  void Run(Handler& handler, const CallIndex& calls, bool waiting);
  // The least likely step of a timeline, in nats.
  double WorstStep(const Handler& handler, absl::Span<Call* const> calls) const;

 private:
  struct Partial {
    double score = 0;
    Progress progress;
    absl::InlinedVector<Call*, 4> calls;
  };
  void Extend(const Handler& handler, const Partial& from, const CallIndex& calls, std::vector<Partial>& next);
  void Try(const Handler& handler, const Partial& from, const Progress& at, CallIndex::Calls calls, uint64_t from_ns,
           uint64_t until_ns, std::vector<Partial>& next);
  using Left = absl::InlinedVector<Call*, 8>;
  Left::iterator Awaited(const Progress& at, Left& left) const;
  static bool LaterLike(const Partial& from, const Call& call);
  bool Trusted(const Call& call) const;
  bool Near(const Handler& handler, CallIndex::Calls calls, size_t i) const;
  void Complete(Handler& handler, const Partial& from);
  double StepScore(const Handler& handler, const Progress& before, const StepContext& context, const Moment& to) const;
  bool Mine(const Handler& handler, const Call& call) const;

  const CauseSettings& settings_;
  const Learned& learned_;
  CauseCounters& counters_;
  uint32_t steps_ = 0;
  bool waits_ = false;
  bool awaits_ = false;  // what is looked for may have waited for a connection
  // What the next look leaves out, because it has been looked at.
  uint32_t skip_tid_ = 0;
  uint32_t skip_turn_ = 0;
  bool skip_whole_thread_ = false;
};

}  // namespace spantap
