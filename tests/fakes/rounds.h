// SPDX-License-Identifier: Apache-2.0
//
// How often a test with random input is to try: as often as `make test` has time for, or SPANTAP_ROUNDS times that
// (`make soak`: 20).
#pragma once

#include <algorithm>
#include <cstdlib>

namespace spantap {

inline int Rounds(int usual) {
  const char* rounds = std::getenv("SPANTAP_ROUNDS");
  return usual * (rounds != nullptr ? std::max(1, std::atoi(rounds)) : 1);
}

}  // namespace spantap
