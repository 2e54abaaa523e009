// SPDX-License-Identifier: Apache-2.0
//
// How sure a link is. A plain number is a probability: of links stated with it, that share is right. Where no number
// can be vouched for but that it is high, all that is said is a bound (gates.h says when).
#pragma once

namespace spantap {

// Where a number is wanted it is `value`: to compare with thresholds.
struct Confidence {
  // NOLINTNEXTLINE(google-explicit-constructor): a probability is one
  constexpr Confidence(double value, bool at_least = false) : value(value), at_least(at_least) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  constexpr operator double() const { return value; }

  double value;   // 0 to 1
  bool at_least;  // `value` is a lower bound, and no probability
};

}  // namespace spantap
