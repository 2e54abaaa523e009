// SPDX-License-Identifier: Apache-2.0
//
// How often links with such evidence were right. Boosted regression trees, fitted by tests/accuracy/fit.py on
// recordings of real servers at known loads (sureness_trees.cc is its output), monotone in every sign whose direction
// is beyond doubt: more rivalry never makes a link surer. Pure; 1 us, and 60 KiB in all.
#pragma once

#include <array>
#include <cstdint>

#include "absl/types/span.h"
#include "agent/cause/evidence.h"

namespace spantap {

// Natural logarithm of right to wrong.
double LogOddsRight(const Evidence& evidence);

// From which of these on a link is stated. `strict`: where a queue of calls may have shifted.
double StatedFrom(const Evidence& evidence, bool strict);

// A node of a tree: a question (whether the sign is at most `at`: `yes`, else `no`), or, where `sign` is kLeaf, what it
// adds. Children come after their parents.
struct SurenessNode {
  static constexpr uint8_t kLeaf = 0xff;
  uint8_t sign;
  float at;
  uint16_t yes, no;  // relative to the node
};
struct SurenessModel {
  static constexpr size_t kMostLeaves = 32;  // of a tree
  // Few open handlers are seldom mistaken for each other, however little is known of them: steps of Sign::kOpen.
  static constexpr std::array<float, 3> kOpen = {5, 9, 33};
  double base;                                  // of all links
  std::array<double, kOpen.size() + 1> stated;  // links are stated from here on, below each step and above the last
  double stated_strict;                         // and where a queue may have shifted
  absl::Span<const SurenessNode> nodes;         // all trees', one after the other
  absl::Span<const uint16_t> roots;             // where each begins
};
const SurenessModel& FittedSureness();

}  // namespace spantap
