// SPDX-License-Identifier: Apache-2.0
//
// What was learned about a program that holds at any load and in its next life, as plain values: which calls the
// handlers of its routes make and when they reply (Program), how they go on (Odds' contexts), whether their calls carry
// the request's tokens. Not: what strangers and immediate steps look like, how often tokens are seen; those belong to a
// load and a run. Routes and calls by their stable hashes (routes.h), so that a process takes over what it meets again,
// route by route, whatever its own numbers are; what it never meets again costs and spoils nothing.
//
// Made and read by ProcessCauses, kept by CauseMemory. Values; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "agent/cause/odds.h"

namespace spantap {

// A label of an image -> one of the process. kReply and "any other" stay.
using LabelMap = std::array<Label, kMaxLabels + 1>;
inline constexpr Label kOtherLabel = kMaxLabels - 1;  // of calls for which there was no number left

// What is remembered counts for that many observations, of a state or context, and no more: enough to be sure (Odds
// asks for 8, and its doubt has all but gone at 50), little enough that a program which has changed is relearned: what
// its handlers do now outweighs the memory after some dozen requests that were served alone, and Program has let go of
// it after some 170. Until then it abstains more often than without a memory.
inline constexpr float kMostRecalled = 50;
inline float RecallScale(float seen) { return seen > kMostRecalled ? kMostRecalled / seen : 1; }

struct StateImage {
  std::array<uint64_t, 2> bag = {};  // Bag::words(), labels of the image
  bool outstanding = false;
  std::vector<std::pair<Label, float>> next;
  bool operator==(const StateImage&) const = default;
};

struct ContextImage {
  Last last = Last::kRequest;
  Label last_label = 0;
  Label next = 0;
  bool dialled = false;
  float seen = 0;
  float immediate = 0;
  std::array<float, kHops> hops = {};
  std::array<float, kGaps> gaps = {};
  bool operator==(const ContextImage&) const = default;
};

struct TokenUseImage {
  Label label = 0;
  float with = 0;
  float same = 0;
  bool operator==(const TokenUseImage&) const = default;
};

struct RouteImage {
  uint64_t route = 0;
  std::vector<StateImage> states;
  std::vector<ContextImage> contexts;
  std::vector<TokenUseImage> token_uses;
  bool operator==(const RouteImage&) const = default;
  float replies() const;  // how well the route is known
};

struct LearnedImage {
  static constexpr size_t kMaxRoutes = 128;
  static constexpr size_t kMaxStates = 2048;
  static constexpr size_t kMaxContexts = 1024;
  static constexpr size_t kMaxTokenUses = 1024;

  std::vector<uint64_t> calls;  // by label, at most kOtherLabel
  std::vector<RouteImage> routes;
  bool operator==(const LearnedImage&) const = default;
  bool empty() const { return routes.empty(); }
};

// `now` where it knows a route well enough to be recalled, or better than `before`; what `before` has besides, as far
// as there is room: what was not met lately goes first.
LearnedImage Merge(LearnedImage now, const LearnedImage& before);

}  // namespace spantap
