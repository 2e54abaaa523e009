// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <string>

#include "agent/cause/gates.h"
#include "agent/cause/strain.h"
#include "agent/cause/sureness.h"

namespace spantap {
namespace {

// Of a route that was learned in the calm: nobody else is near, and all agree.
LinkEvidence Plain() {
  LinkEvidence evidence;
  evidence.joint = 0.999999, evidence.agreed = evidence.counted = true;
  Evidence& signs = evidence.signs;
  signs[Sign::kJoint] = 9, signs[Sign::kLocal] = 6, signs[Sign::kRivals] = 1, signs[Sign::kRivalry] = 0;
  signs[Sign::kClaimed] = 9, signs[Sign::kLikeliest] = 6, signs[Sign::kNeighbour] = 6, signs[Sign::kTimelines] = 1;
  signs[Sign::kMargin] = 25, signs[Sign::kStep] = 5, signs[Sign::kMeanStep] = 4, signs[Sign::kReplyStep] = 5;
  signs[Sign::kWorstStep] = -0.1f, signs[Sign::kFollows] = -0.01f, signs[Sign::kImmediate] = 0.99f;
  signs[Sign::kLeastKnown] = 300, signs[Sign::kProposal] = 0, signs[Sign::kProposedHere] = 1;
  signs[Sign::kQueued] = -1, signs[Sign::kAlike] = 1, signs[Sign::kOpen] = 4;
  signs[Sign::kLeftOpen] = signs[Sign::kLeftOpenHere] = 0.002f, signs[Sign::kDisagreed] = 0.001f;
  signs[Sign::kUnsimulated] = 0.05f;
  signs[Sign::kDropped] = signs[Sign::kRivalsDropped] = kNothing, signs[Sign::kAlikeInTurn] = 1;
  return evidence;
}

TEST_CASE("gates: what the sums leave open is stated as it was on recordings", "[cause]") {
  LinkEvidence evidence = Plain();
  double last = 0;
  for (double joint = 0; joint <= kSure; joint += 0.01) {
    evidence.joint = joint;
    const Statement said = State(evidence);
    CHECK(said.confidence >= last);
    CHECK(said.confidence < kSure);
    CHECK(said.reason == "ambiguous");
    last = said.confidence;
  }
  evidence.joint = 0.65;
  CHECK(State(evidence).confidence == Approx(0.55));
  evidence.joint = 0.7;  // between two points
  CHECK(State(evidence).confidence == Approx(0.58));
}

TEST_CASE("gates: only near certainty stands", "[cause]") {
  struct Row {
    int line;
    LinkEvidence evidence;
    CauseRule rule;
    absl::string_view reason;
  };
  const auto with = [](auto change) {
    LinkEvidence evidence = Plain();
    change(evidence, evidence.signs);
    return evidence;
  };
  const Row rows[] = {
      {__LINE__, with([](auto&, auto&) {}), CauseRule::kProgram, ""},
      {__LINE__, with([](auto& e, auto& s) { e.token = true, s[Sign::kToken] = 1, s[Sign::kTokens] = 4; }),
       CauseRule::kToken, ""},
      {__LINE__, with([](auto& e, auto&) { e.counted = false; }), CauseRule::kProgram, "busy"},
      {__LINE__, with([](auto& e, auto& s) {
         s[Sign::kLocal] = 0.3f, s[Sign::kRivals] = 8, s[Sign::kMargin] = 2, s[Sign::kNeighbour] = 0.5f;
         s[Sign::kOpen] = 40, s[Sign::kLeftOpen] = s[Sign::kLeftOpenHere] = 0.2f;
         e.agreed = false, s[Sign::kProposedHere] = 0, s[Sign::kContradicted] = 2, s[Sign::kMissing] = 2;
       }),
       CauseRule::kJoint, "busy"},
      {__LINE__, with([](auto& e, auto& s) { e.joint = 0.6, s[Sign::kJoint] = 0.4f, s[Sign::kRivalry] = 0.3f; }),
       CauseRule::kProgram, "ambiguous"},
      {__LINE__, with([](auto& e, auto& s) { e.joint = 0.6, s[Sign::kJoint] = 0.4f, s[Sign::kCrowded] = 1; }),
       CauseRule::kProgram, "crowded"},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    const Statement said = State(row.evidence);
    CHECK(said.rule == row.rule);
    CHECK(std::string(said.reason) == std::string(row.reason));
    CHECK((said.confidence > kSure) == row.reason.empty());
    CHECK(said.confidence <= 0.9995);
    CHECK(said.confidence >= 0);
  }
}

TEST_CASE("gates: of what is likely but not near certain, only a bound is stated", "[cause]") {
  LinkEvidence evidence = Plain();
  evidence.counted = false;
  const Statement held_back = State(evidence);
  CHECK(held_back.confidence.at_least);
  CHECK(held_back.confidence == 0.89);
  evidence.counted = true;
  CHECK_FALSE(State(evidence).confidence.at_least);
  auto& signs = evidence.signs;
  signs[Sign::kJoint] = 1.01f, signs[Sign::kLocal] = 0.1f, signs[Sign::kRivalry] = 0.3f, signs[Sign::kMargin] = 0.1f;
  signs[Sign::kLikeliest] = signs[Sign::kNeighbour] = signs[Sign::kClaimed] = 0.1f, signs[Sign::kOpen] = 100;
  signs[Sign::kLeftOpen] = signs[Sign::kLeftOpenHere] = signs[Sign::kDisagreed] = 0.9f;
  signs[Sign::kContradicted] = signs[Sign::kMissing] = 3, signs[Sign::kProposedHere] = 0;
  const Statement doubtful = State(evidence);
  CHECK_FALSE(doubtful.confidence.at_least);
  CHECK(doubtful.confidence < 0.89);
  CHECK(doubtful.confidence > 0);
}

TEST_CASE("sureness: whatever the rest, a sign never speaks against its direction", "[cause]") {
  std::mt19937 random(3);
  const auto any = [&](double least, double most) {
    return static_cast<float>(std::uniform_real_distribution<double>(least, most)(random));
  };
  for (int n = 0; n < 2000; ++n) {
    Evidence evidence;
    for (size_t i = 0; i < kSigns; ++i) evidence[static_cast<Sign>(i)] = any(-6, 9);
    const double before = LogOddsRight(evidence);
    REQUIRE(std::isfinite(before));
    for (size_t i = 0; i < kSigns; ++i) {
      const auto sign = static_cast<Sign>(i);
      if (DirectionOf(sign) == 0) continue;
      Evidence more = evidence;
      more[sign] += any(0, 10);
      INFO(std::string(NameOf(sign)));
      CHECK((LogOddsRight(more) - before) * DirectionOf(sign) >= -1e-6);
    }
  }
}

TEST_CASE("sureness: from which odds on a link is stated goes by how many handlers are open", "[cause]") {
  const SurenessModel& model = FittedSureness();
  const auto stated = [](float open, bool strict) {
    Evidence evidence;
    evidence[Sign::kOpen] = open;
    return StatedFrom(evidence, strict);
  };
  for (const auto& [open, step] :
       {std::pair(0.f, 0), {4.f, 0}, {5.f, 1}, {8.f, 1}, {9.f, 2}, {32.f, 2}, {33.f, 3}, {1e6f, 3}}) {
    INFO(open);
    CHECK(stated(open, false) == model.stated.at(step));
    CHECK(stated(open, true) == model.stated_strict);
  }
}

TEST_CASE("sureness: the same, to the last bit, as when each tree is walked", "[cause]") {
  const SurenessModel& model = FittedSureness();
  std::mt19937 random(5);
  for (int n = 0; n < 2000; ++n) {
    Evidence evidence;
    for (size_t i = 0; i < kSigns; ++i) {
      evidence[static_cast<Sign>(i)] = static_cast<float>(random() % 400) / 16 - 6;
    }
    for (int i = 0; i < 8; ++i) {  // some exactly at a threshold
      const SurenessNode& node = model.nodes[random() % model.nodes.size()];
      if (node.sign != SurenessNode::kLeaf) evidence[static_cast<Sign>(node.sign)] = node.at;
    }
    double sum = model.base;
    for (const uint16_t root : model.roots) {
      const SurenessNode* node = &model.nodes[root];
      while (node->sign != SurenessNode::kLeaf) node += evidence.at(node->sign) <= node->at ? node->yes : node->no;
      sum += node->at;
    }
    REQUIRE(LogOddsRight(evidence) == sum);
  }
}

TEST_CASE("sureness: the trees end, and what no recording had is no fault", "[cause]") {
  const SurenessModel& model = FittedSureness();
  REQUIRE(!model.roots.empty());
  for (size_t i = 0; i < model.nodes.size(); ++i) {
    const SurenessNode& node = model.nodes[i];
    if (node.sign == SurenessNode::kLeaf) continue;
    REQUIRE(node.sign < kSigns);
    REQUIRE((node.yes > 0 && node.no > 0));  // towards the end
    REQUIRE(i + std::max(node.yes, node.no) < model.nodes.size());
  }
  for (const float value : {-1e30f, 0.0f, 1e30f, std::nanf("")}) {
    Evidence evidence;
    for (size_t i = 0; i < kSigns; ++i) evidence[static_cast<Sign>(i)] = value;
    CHECK(std::isfinite(LogOddsRight(evidence)));
  }
}

TEST_CASE("strain: trouble is noticed soon, and forgotten slowly", "[cause]") {
  Lately lately(0.01);
  for (int i = 0; i < 1000; ++i) lately.Add(false);
  CHECK(lately.value() < 0.001);
  int until = 0;
  while (lately.value() < 0.1 && until < 100) lately.Add(true), ++until;
  CHECK(until < 30);
  for (int i = 0; i < 100; ++i) lately.Add(true);
  int back = 0;
  while (lately.value() > 0.1 && back < 10'000) lately.Add(false), ++back;
  CHECK(back > 5 * until);
  CHECK(back < 5000);
}

TEST_CASE("strain: of each route and label, and of all; bounded", "[cause]") {
  Strain strain;
  for (int i = 0; i < 500; ++i) strain.AddOpen(1, 2, true), strain.AddOpen(1, 3, false);
  CHECK(strain.OpenOf(1, 2) > 0.8);
  CHECK(strain.OpenOf(1, 3) < 0.02);
  CHECK(strain.open() > 0.4);
  const double unknown = strain.OpenOf(9, 9);
  CHECK((unknown > 0.01 && unknown < 0.1));
  strain.ForgetRoute(1);
  CHECK(strain.OpenOf(1, 2) == unknown);
  for (uint16_t route = 0; route < 2000; ++route) {
    for (int i = 0; i < 100; ++i) strain.AddOpen(route, 0, true);
  }
  size_t known = 0;
  for (uint16_t route = 0; route < 2000; ++route) known += strain.OpenOf(route, 0) > 0.5;
  CHECK(known == Strain::kMaxKinds);
}

}  // namespace
}  // namespace spantap
