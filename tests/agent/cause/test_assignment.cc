// SPDX-License-Identifier: Apache-2.0
#include <bitset>
#include <catch2/catch.hpp>
#include <cmath>
#include <deque>
#include <random>

#include "agent/cause/assignment.h"

namespace spantap {
namespace {

struct Case {
  uint32_t calls = 0;
  double log_nobody = -7;
  std::deque<std::vector<uint32_t>> lists;
  std::vector<std::vector<Choice>> choosers;
};

Case Random(std::mt19937& random, uint32_t most_choosers, uint32_t most_calls, double spread = 3) {
  Case some;
  some.calls = 1 + random() % most_calls;
  some.log_nobody = -static_cast<double>(random() % 8);
  some.choosers.resize(1 + random() % most_choosers);
  for (auto& choices : some.choosers) {
    const size_t count = 1 + random() % 4;
    for (size_t k = 0; k < count; ++k) {
      std::vector<uint32_t> list;
      for (uint32_t call = 0; call < some.calls; ++call) {
        if (random() % 3 == 0) list.push_back(call);
      }
      some.lists.push_back(std::move(list));
      choices.push_back({(static_cast<double>(random() % 10'000) - 5000) / 5000 * spread, some.lists.back()});
    }
    some.lists.emplace_back();
    choices.push_back({-spread, some.lists.back()});  // as handlers have it
  }
  return some;
}

// Of all joint choices in which no call is taken twice: the share of those in which the chooser makes the choice.
std::vector<std::vector<double>> BruteForce(const Case& some) {
  std::vector<std::vector<double>> shares;
  for (const auto& choices : some.choosers) shares.emplace_back(choices.size(), 0.0);
  std::vector<size_t> chosen(some.choosers.size());
  double all = 0;
  for (bool more = true; more;) {
    double log_weight = 0;
    std::bitset<256> taken;
    bool clash = false;
    for (size_t i = 0; i < chosen.size(); ++i) {
      const Choice& choice = some.choosers[i][chosen[i]];
      log_weight += choice.log_weight - some.log_nobody * static_cast<double>(choice.calls.size());
      for (const uint32_t call : choice.calls) clash |= taken[call], taken.set(call);
    }
    if (!clash) {
      all += std::exp(log_weight);
      for (size_t i = 0; i < chosen.size(); ++i) shares[i][chosen[i]] += std::exp(log_weight);
    }
    more = false;
    for (size_t i = 0; i < chosen.size() && !more; ++i) {
      more = ++chosen[i] < some.choosers[i].size();
      if (!more) chosen[i] = 0;
    }
  }
  for (auto& of : shares) {
    for (double& share : of) share /= all;
  }
  return shares;
}

// The worst error among choosers that are not said to be crowded.
double WorstError(const Case& some, size_t& crowded) {
  Assignment assignment;
  for (const auto& choices : some.choosers) assignment.AddChooser(choices);
  assignment.Solve(some.calls, some.log_nobody, 100'000);
  const auto shares = BruteForce(some);
  double worst = 0;
  for (uint32_t i = 0; i < shares.size(); ++i) {
    crowded += assignment.Crowded(i);
    if (assignment.Crowded(i)) continue;
    for (uint32_t k = 0; k < shares[i].size(); ++k) {
      worst = std::max(worst, std::abs(assignment.OfChoice(i, k) - shares[i][k]));
    }
  }
  return worst;
}

TEST_CASE("assignment: as if all joint choices were counted", "[cause]") {
  std::mt19937 random(7);
  double worst = 0;
  size_t crowded = 0;
  for (int n = 0; n < 2000; ++n) {
    Case some = Random(random, 5, 4, 1);
    some.log_nobody = -static_cast<double>(random() % 100) / 100;  // little: no set is negligible
    worst = std::max(worst, WorstError(some, crowded));
  }
  INFO("worst " << worst);
  CHECK(worst < 1e-9);
  CHECK(crowded == 0);
}

TEST_CASE("assignment: a chooser may want more calls than fit into a word", "[cause]") {
  std::mt19937 random(9);
  size_t crowded = 0;
  for (int n = 0; n < 50; ++n) {
    Case some = Random(random, 4, 200, 1);
    some.log_nobody = 0;
    for (auto& choices : some.choosers) {
      for (Choice& choice : choices) {  // few of many, so that they do not always exclude each other
        if (choice.calls.size() > 3) choice.calls = choice.calls.subspan(random() % (choice.calls.size() - 3), 3);
      }
      for (uint32_t first = 0; first + 3 <= some.calls; first += 3) {
        some.lists.push_back({first, first + 1, first + 2});
        if (choices.size() < 40) choices.push_back({-1, some.lists.back()});
      }
    }
    if (some.choosers.size() > 3) some.choosers.resize(3);
    CHECK(WorstError(some, crowded) < 1e-9);
  }
  CHECK(crowded == 0);
}

TEST_CASE("assignment: nor is it far off where sets are left out", "[cause]") {
  std::mt19937 random(8);
  double worst = 0;
  size_t crowded = 0;
  for (int n = 0; n < 2000; ++n) worst = std::max(worst, WorstError(Random(random, 5, 6), crowded));
  INFO("worst " << worst);
  CHECK(worst < 0.06);  // what is settled first does not pay for calls that it leaves to nobody
}

TEST_CASE("assignment: claims are shares, and no call has more than one owner", "[cause]") {
  std::mt19937 random(11);
  for (int n = 0; n < 500; ++n) {
    const Case some = Random(random, 6, 8);
    Assignment assignment;
    for (const auto& choices : some.choosers) assignment.AddChooser(choices);
    assignment.Solve(some.calls, some.log_nobody, 1 + random() % 64, {},
                     random() % 3 == 0 ? random() % 2000 : SIZE_MAX);
    for (uint32_t i = 0; i < some.choosers.size(); ++i) {
      double all = 0;
      for (uint32_t k = 0; k < some.choosers[i].size(); ++k) all += assignment.OfChoice(i, k);
      CHECK(all == Approx(1));
    }
    for (uint32_t call = 0; call < some.calls; ++call) {
      double all = 0;
      bool crowded = false;
      for (const auto& claim : assignment.ClaimsOf(call)) {
        CHECK(claim.probability == assignment.Of(claim.chooser, call));
        CHECK(claim.probability >= 0);
        CHECK(assignment.Local(claim.chooser, call) <= 1);
        all += claim.probability;
        crowded |= assignment.Crowded(claim.chooser);
      }
      if (!crowded) CHECK(all <= 1 + 1e-6);
    }
    CHECK(assignment.ClaimsOf(some.calls).empty());
  }
}

// Each of many wants either of two neighbours, all alike: a chain in which everything hangs together.
TEST_CASE("assignment: too many joint choices are told", "[cause]") {
  std::mt19937 random(5);
  std::deque<std::vector<uint32_t>> lists;
  const auto add = [&](Assignment& assignment, uint32_t choosers, uint32_t calls) {
    for (uint32_t i = 0; i < choosers; ++i) {
      std::vector<Choice> choices;
      for (uint32_t call = 0; call < calls; ++call) {
        lists.push_back({call});
        choices.push_back({static_cast<double>(random() % 100) / 1000, lists.back()});
      }
      assignment.AddChooser(choices);
    }
  };
  Assignment crowded, roomy, poor;
  add(crowded, 8, 10);
  crowded.Solve(10, -7, 8);
  add(roomy, 8, 10);
  roomy.Solve(10, -7, 100'000);
  add(poor, 8, 10);
  poor.Solve(10, -7, 100'000, {}, 20);
  for (uint32_t i = 0; i < 8; ++i) {
    CHECK(crowded.Crowded(i));
    CHECK_FALSE(roomy.Crowded(i));
    CHECK(poor.Crowded(i));
    for (uint32_t call = 0; call < 10; ++call) CHECK(roomy.Of(i, call) == Approx(0.1).margin(0.03));
  }
}

TEST_CASE("assignment: who comes first takes nothing from whom it fits far better", "[cause]") {
  const std::vector<uint32_t> all = {0, 1, 2}, none;
  for (const double log_nobody : {-3.0, -7.0}) {
    Assignment assignment;
    assignment.AddChooser({{-5, all}, {-6, none}});
    assignment.AddChooser({{10, all}, {-6, none}});
    assignment.Solve(3, log_nobody);
    INFO("nobody " << log_nobody);
    CHECK((assignment.Of(1, 0) > 0.999 || assignment.Crowded(1)));
    CHECK((assignment.Of(0, 0) < 0.001 || assignment.Crowded(0)));
  }
}

TEST_CASE("assignment: what is beyond doubt is settled before, with the same result", "[cause]") {
  const std::vector<uint32_t> first = {0}, second = {1}, both = {0, 1}, none;
  Assignment assignment;
  assignment.AddChooser({{10, first}, {-3, none}});
  assignment.AddChooser({{9, second}, {-4, both}, {-3, none}});
  assignment.Solve(2, -7);
  CHECK(assignment.Of(0, 0) > 0.999);
  CHECK(assignment.Of(1, 1) > 0.999);
  CHECK(assignment.Of(1, 0) < 0.001);
  CHECK(assignment.Local(0, 0) > 0.99);
  CHECK_FALSE(assignment.Crowded(0));
}

TEST_CASE("assignment: groups that nobody asks for are not summed", "[cause]") {
  const std::vector<uint32_t> first = {0}, second = {1}, none;
  Assignment assignment;
  for (int i = 0; i < 2; ++i) assignment.AddChooser({{0, first}, {-1, none}});
  for (int i = 0; i < 2; ++i) assignment.AddChooser({{0, second}, {-1, none}});
  assignment.Solve(2, -7, Assignment::kMaxSets, {false, true});
  CHECK_FALSE(assignment.Summed(0));
  CHECK(assignment.Summed(2));
  CHECK(assignment.Of(2, 1) == Approx(0.5).margin(0.01));
}

}  // namespace
}  // namespace spantap
