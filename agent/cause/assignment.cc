// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/assignment.h"

#include <algorithm>
#include <cmath>

namespace spantap {
namespace {

constexpr double kTiny = 1e-30;
constexpr double kHuge = 1e30;

}  // namespace

uint32_t Assignment::AddChooser(std::vector<Choice> choices) {
  Chooser chooser;
  chooser.first_edge = static_cast<uint32_t>(edges_.size());
  const auto number = static_cast<uint32_t>(choosers_.size());
  for (const Choice& choice : choices) {
    std::vector<uint32_t> mine;
    for (const uint32_t call : choice.calls) {
      uint32_t edge = chooser.first_edge;
      while (edge < edges_.size() && edges_[edge].call != call) ++edge;
      if (edge == edges_.size()) edges_.push_back({number, call});
      mine.push_back(edge);
    }
    chooser.edges.push_back(std::move(mine));
  }
  chooser.edge_count = static_cast<uint32_t>(edges_.size()) - chooser.first_edge;
  chooser.weight.resize(choices.size());
  chooser.choices = std::move(choices);
  choosers_.push_back(std::move(chooser));
  return number;
}

void Assignment::SetNobody(uint32_t call, double log_nobody) {
  if (nobody_.size() <= call) nobody_.resize(call + 1, 1.0);
  nobody_[call] = std::exp(log_nobody);
}

void Assignment::Weigh(Chooser& chooser) const {
  double most = -1e300;
  for (size_t i = 0; i < chooser.choices.size(); ++i) {
    double sum = chooser.choices[i].log_weight;
    for (const uint32_t edge : chooser.edges[i]) sum += std::log(edges_[edge].welcome);
    chooser.weight[i] = sum;
    most = std::max(most, sum);
  }
  for (double& weight : chooser.weight) weight = std::exp(weight - most);
}

void Assignment::Solve(const AssignmentSettings& settings, uint32_t calls) {
  nobody_.resize(calls, 1.0);
  of_call_.assign(calls, {});
  for (uint32_t edge = 0; edge < edges_.size(); ++edge) of_call_[edges_[edge].call].push_back(edge);
  for (Edge& edge : edges_) edge.welcome = 1.0 / (nobody_[edge.call] + 1.0);
  for (int round = 0; round < settings.rounds; ++round) {
    for (Chooser& chooser : choosers_) {
      Weigh(chooser);
      double all = 0;
      for (const double weight : chooser.weight) all += weight;
      for (uint32_t edge = chooser.first_edge; edge < chooser.first_edge + chooser.edge_count; ++edge) {
        edges_[edge].claim = 0;
      }
      for (size_t i = 0; i < chooser.choices.size(); ++i) {
        for (const uint32_t edge : chooser.edges[i]) edges_[edge].claim += chooser.weight[i];
      }
      for (uint32_t at = chooser.first_edge; at < chooser.first_edge + chooser.edge_count; ++at) {
        Edge& edge = edges_[at];
        const double with = edge.claim / edge.welcome;  // its own welcome is not its argument
        const double without = std::max(all - edge.claim, kTiny);
        edge.claim = std::clamp(with / without, kTiny, kHuge);
      }
    }
    for (uint32_t call = 0; call < calls; ++call) {
      double all = nobody_[call];
      for (const uint32_t edge : of_call_[call]) all += edges_[edge].claim;
      for (const uint32_t at : of_call_[call]) {
        Edge& edge = edges_[at];
        double others = all - edge.claim;
        if (others < all * 1e-9) {  // what is left of a difference of large numbers is noise
          others = nobody_[call];
          for (const uint32_t other : of_call_[call]) others += other == at ? 0 : edges_[other].claim;
        }
        const double fresh = 1.0 / std::max(others, kTiny);
        edge.welcome = std::exp(settings.damping * std::log(edge.welcome) + (1 - settings.damping) * std::log(fresh));
      }
    }
  }
  for (Chooser& chooser : choosers_) Weigh(chooser);
}

double Assignment::OfChoice(uint32_t chooser, uint32_t choice) const {
  double all = 0;
  for (const double weight : choosers_[chooser].weight) all += weight;
  return choosers_[chooser].weight[choice] / all;
}

double Assignment::Of(uint32_t chooser, uint32_t call) const {
  const Chooser& one = choosers_[chooser];
  double with = 0, all = 0;
  for (size_t i = 0; i < one.choices.size(); ++i) {
    all += one.weight[i];
    for (const uint32_t edge : one.edges[i]) {
      if (edges_[edge].call == call) with += one.weight[i];
    }
  }
  return with / all;
}

std::vector<Assignment::Claim> Assignment::ClaimsOf(uint32_t call) const {
  std::vector<Claim> claims;
  if (call >= of_call_.size()) return claims;
  for (const uint32_t edge : of_call_[call]) {
    claims.push_back({edges_[edge].chooser, Of(edges_[edge].chooser, call)});
  }
  return claims;
}

}  // namespace spantap
