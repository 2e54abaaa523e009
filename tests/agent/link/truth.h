// SPDX-License-Identifier: Apache-2.0
//
// Simulations against truth (test_truth.cc, test_truth_loop.cc): what was claimed, and what of it is wrong.
#pragma once

#include <catch2/catch.hpp>

#include <map>
#include <random>

#include "tests/agent/link/world.h"

namespace spantap::link_test {

struct Score {
  int clients = 0;
  int right = 0;
  int wrong = 0;  // claimed above 0.9
};

// Truth: client id -> server id (0: caused by no request).
using Truth = std::map<uint64_t, uint64_t>;

inline Score Judge(const World& world, const Truth& truth) {
  Score score;
  for (const auto& [client, server] : truth) {
    const LinkedExchange* linked = world.Find(client);
    REQUIRE(linked != nullptr);
    ++score.clients;
    if (linked->rule == LinkRule::kNone) continue;
    const bool right = server != 0 && world.IsChild(client, server);
    score.right += right;
    score.wrong += !right && linked->confidence > 0.9;
  }
  return score;
}

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  bool operator()(double probability) { return std::uniform_real_distribution<>(0, 1)(engine_) < probability; }
  int Below(int limit) { return static_cast<int>(engine_() % static_cast<uint64_t>(limit)); }

 private:
  std::mt19937_64 engine_;
};

struct Total {
  Score sum;
  void Add(const Score& score) {
    sum.clients += score.clients;
    sum.right += score.right;
    sum.wrong += score.wrong;
  }
  double coverage() const { return static_cast<double>(sum.right) / sum.clients; }
};

}  // namespace spantap::link_test
