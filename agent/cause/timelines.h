// SPDX-License-Identifier: Apache-2.0
//
// The search for what a handler may have done: from its request, through calls that it may have sent (each step scored
// by Odds and Program), to its reply. A beam: of the partial timelines with equally many calls, the best go on. Bounded by
// CauseSettings::max_hypotheses and max_steps. Reads the window, changes only the handler's timelines.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "agent/cause/call_index.h"
#include "agent/cause/cause_finder.h"
#include "agent/cause/odds.h"
#include "agent/cause/program.h"
#include "agent/cause/tokens.h"
#include "agent/cause/window.h"

namespace spantap {

struct Learned {
  Odds odds;
  Program program;
  TokenCounts token_counts;
  // Share of calls with a token that is their handler's, by route and label: how much a token tells.
  struct TokenUse {
    float with = 0, same = 0;
  };
  absl::flat_hash_map<uint32_t, TokenUse> token_use;
  // How often a proposal of the simulation was right.
  struct Trust {
    float right = 3, all = 4;
    double value() const { return std::clamp<double>(right / all, 0.02, 0.98); }
    void Add(bool good) {
      right += good;
      if (++all > 512) right /= 2, all /= 2;
    }
  };
  std::array<Trust, kProposals> proposals;
  explicit Learned(const CauseSettings& settings)
      : odds({settings.use_adjacency, settings.use_gaps}) {}
};

// Natural logarithm of how much the call's tokens speak for (or against) the handler.
double TokenOdds(const Learned& learned, const Handler& handler, const Call& call);

// ... and how much the simulation does.
double ProposalOdds(const Learned& learned, const Handler& handler, const Call& call);

class TimelineSearch {
 public:
  TimelineSearch(const CauseSettings& settings, const Learned& learned, CauseCounters& counters)
      : settings_(settings), learned_(learned), counters_(counters) {}

  // `waiting`: whether handlers that wait for something unseen are searched, too; else they are only found to be.
  void Run(Handler& handler, const CallIndex& calls, bool waiting);
  // Score of a timeline that is known, in the same terms.
  double Score(const Handler& handler, const absl::Span<Call* const>& calls) const;

 public:
  struct Partial {
    double score = 0;
    bool by_token = false;
    Progress progress;
    absl::InlinedVector<Call*, 4> calls;
  };
  void Extend(const Handler& handler, const Partial& from, const CallIndex& calls, std::vector<Partial>& next);
  void Try(const Handler& handler, const Partial& from, const Progress& at, CallIndex::Calls calls, uint64_t from_ns,
           uint64_t until_ns, std::vector<Partial>& next);
  bool Trusted(const Call& call) const;
  bool Near(const Handler& handler, CallIndex::Calls calls, size_t i) const;
  void Complete(Handler& handler, const Partial& from);
  double StepScore(const Handler& handler, const Progress& before, Label next, bool dequeued, const Moment& to) const;
  bool Mine(const Handler& handler, const Call& call) const;

  const CauseSettings& settings_;
  const Learned& learned_;
  CauseCounters& counters_;
  uint32_t steps_ = 0;
  bool waits_ = false;
  uint32_t not_in_turn_ = 0;
  uint32_t not_of_thread_ = 0;
};

}  // namespace spantap
