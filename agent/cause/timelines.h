// SPDX-License-Identifier: Apache-2.0
//
// The search for what a handler may have done: from its request, through calls that it may have sent (each step scored
// by Odds and Program), to its reply. A beam: of the partial timelines with equally many calls, the best go on. Bounded
// by CauseSettings::max_hypotheses and max_steps. Reads the window, changes only the handler's timelines. Lives as long
// as nothing is learned.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "agent/cause/call_index.h"
#include "agent/cause/cause_finder.h"
#include "agent/cause/learned.h"
#include "agent/cause/outlook.h"
#include "agent/cause/window.h"

namespace spantap {

class TimelineSearch {
 public:
  TimelineSearch(const CauseSettings& settings, const Learned& learned, CauseCounters& counters)
      : settings_(settings), learned_(learned), counters_(counters), outlooks_(settings, learned) {}

  // `waiting`: whether handlers that wait for something unseen are searched, too; else they are only found to be.
  void Run(Handler& handler, const CallIndex& calls, bool waiting);
  // Goes through a timeline, step by step, to the reply.
  struct Step {
    const Progress& before;
    StepContext context;
    Call* call;    // null: the reply
    double score;  // nats
  };
  void Walk(const Handler& handler, absl::Span<Call* const> calls, absl::FunctionRef<void(const Step&)> visit) const;

 private:
  using Calls = absl::InlinedVector<Call*, 4>;
  struct Partial {
    Partial(double scored, const Progress& at, const Calls& made) : score(scored), progress(at), calls(made) {}
    double score;
    Progress progress;
    Outlook* outlook = nullptr;  // from there
    Calls calls;
  };
  // Where a partial timeline may go on from: after some of the answers that it waits for.
  struct Stand {
    const Partial* from;
    Progress progress;
    Outlook* outlook;
    double score;  // as before those answers, but for having called nothing meanwhile
  };
  // ... and with what. Few of those that are tried are gone on with: only these become partial timelines.
  struct Option {
    double score;
    uint32_t stand;
    uint32_t number;
    Call* call;
    bool awaited;  // it waited for a connection
    uint8_t hop;   // turns until it was made, then
  };
  struct Better {
    bool operator()(const Option& a, const Option& b) const {
      return a.score != b.score ? a.score > b.score : a.number < b.number;
    }
  };
  void Extend(const Handler& handler, const Partial& from, const CallIndex& calls, bool waiting);
  void TryAll(const Handler& handler, const Stand& stand, Outlook::Step& step, const CallIndex& calls, uint64_t from_ns,
              uint64_t until_ns);
  void Try(const Handler& handler, const Stand& stand, Outlook::Step& step, CallIndex::Calls calls, uint64_t from_ns,
           uint64_t until_ns);
  void TryOvertaking(const Handler& handler, const Stand& stand, Outlook::Step& step, const CallIndex& calls);
  void TakeBest();
  void KeepBest(Handler& handler);
  bool MayBe(const Handler& handler, Call& call) const;
  double Witnesses(const Handler& handler, Call& call) const;
  void Offer(const Option& option);
  void Drop(double score);
  void KeepMost();
  using Left = absl::InlinedVector<Call*, 8>;
  Left::iterator Awaited(const Progress& at, Left& left) const;
  static bool LaterLike(const Partial& from, const Call& call);
  bool Trusted(const Call& call) const;
  bool Near(const Handler& handler, CallIndex::Calls calls, size_t i) const;
  void Complete(const Handler& handler, const Partial& from, const Stand& followed);
  void Found(const Partial& partial, double score);

  const CauseSettings& settings_;
  const Learned& learned_;
  CauseCounters& counters_;
  mutable Outlooks outlooks_;  // remembers what it was asked
  uint32_t steps_ = 0;
  bool waits_ = false;
  bool awaits_ = false;  // what is looked for may have waited for a connection
  double best_ = 0;      // of the timelines found
  double dropped_ = 0;   // weight of what was left out to keep the search small
  uint32_t looker_ = 0;  // says in calls which search has looked at them
  uint32_t most_ = 0;    // of those, and of the partial ones of a level, that are gone on with
  // Of the level at hand: how many options there were, and the score that more must beat.
  uint32_t offered_ = 0;
  double beat_ = 0;
  // What the next look leaves out, because it has been looked at.
  uint32_t skip_tid_ = 0;
  uint32_t skip_turn_ = 0;
  bool skip_whole_thread_ = false;
  bool overtaking_ = false;  // what is looked at was sent before that which it follows
  bool late_ = false;        // what is looked at has been late, or would have been no candidate
  // Of the search at hand, kept for their memory.
  std::vector<Partial> level_, next_;
  std::vector<Stand> stands_;
  std::vector<Option> options_;
  std::vector<Timeline> found_;
};

}  // namespace spantap
