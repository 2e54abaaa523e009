// SPDX-License-Identifier: Apache-2.0
//
// Everything that is learned about one process. Event thread. Memory: that of its parts, and kMaxTokenUses entries.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "agent/cause/cause_finder.h"
#include "agent/cause/odds.h"
#include "agent/cause/program.h"
#include "agent/cause/strain.h"
#include "agent/cause/tokens.h"
#include "agent/cause/window.h"

namespace spantap {

// A share, old observations fading.
struct Trust {
  float right = 3, all = 4;
  double value() const { return std::clamp<double>(right / all, 0.02, 0.98); }
  void Add(bool good) {
    right += good;
    if (++all > 512) right /= 2, all /= 2;
  }
};

struct Learned {
  static constexpr size_t kMaxTokenUses = 1024;
  explicit Learned(const CauseSettings& settings) : odds({settings.use_adjacency, settings.use_gaps}) {}

  // How much likelier the call's tokens are if it is the handler's, and the natural logarithm thereof.
  double TokenRatio(const Handler& handler, const Call& call) const;
  double TokenOdds(const Handler& handler, const Call& call) const;
  // ... and how much the simulation does.
  double ProposalOdds(const Handler& handler, const Call& call) const;
  // ... and how much the order of replies does for the handler having replied where it stands.
  double EndOdds(const Handler& handler, const Progress& end) const;
  // They have a value in common that few requests have.
  bool ShareToken(const Handler& handler, const Call& call) const;
  void LearnToken(const Handler& handler, const Call& call, double weight);

  Odds odds;
  Program program;
  TokenCounts token_counts;
  std::array<Trust, kProposals> proposals;  // how often a proposal of the simulation was right
  Trust ends;                               // how often what it says of calls agreed with what it says of replies
  Strain strain;
  bool waits = false;  // calls wait for connections (pools.h)
  // Of calls that a queue gives to somebody for sure, those that the sums give to others.
  Lately queues_disagreed{0.05};
  void ForgetRoute(uint16_t route);
  // Where most is left open anyway, less is tried.
  bool Strained() const { return strain.open() > 0.3; }

  // Of one route, what lasts (learned_image.h), and back.
  RouteImage Export(uint16_t route) const;
  void Import(uint16_t route, const RouteImage& image, const LabelMap& labels);

 private:
  // Of a route's calls with tokens, how many share one with the request.
  struct TokenUse {
    float with = 0, same = 0;
  };
  absl::flat_hash_map<uint32_t, TokenUse> token_use_;  // by route and label
};

}  // namespace spantap
