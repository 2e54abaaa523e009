// SPDX-License-Identifier: Apache-2.0
//
// Several handlers, each with several timelines that may have been its own; each call belongs to at most one handler.
// How probable is it that a handler made a call? Sum-product messages between handlers (which choose one timeline) and
// calls (which are chosen once, or by nobody): exact when nothing goes round in a circle, close to it otherwise, linear in
// the size of the timelines per round. Pure: no state, nothing known of requests.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace spantap {

struct Choice {
  double log_weight = 0;
  absl::Span<const uint32_t> calls;  // numbers from 0, ascending, none twice
};

struct AssignmentSettings {
  int rounds = 12;
  double damping = 0.3;  // share of the old message that stays
};

class Assignment {
 public:
  // Adds a handler; it must choose one. Returns its number.
  uint32_t AddChooser(std::vector<Choice> choices);
  // `log_nobody`: weight of the case that no chooser has this call; calls without are e^0.
  void SetNobody(uint32_t call, double log_nobody);
  void Solve(const AssignmentSettings& settings, uint32_t calls);

  // Probability that the chooser has the call.
  double Of(uint32_t chooser, uint32_t call) const;
  // Probability of a choice, given what the others want.
  double OfChoice(uint32_t chooser, uint32_t choice) const;
  // Those who might have the call.
  struct Claim {
    uint32_t chooser;
    double probability;
  };
  std::vector<Claim> ClaimsOf(uint32_t call) const;

 private:
  struct Edge {
    uint32_t chooser;
    uint32_t call;
    double claim = 0;    // chooser to call: odds that it takes the call
    double welcome = 1;  // call to chooser: 1 / weight of all others and nobody
  };
  struct Chooser {
    std::vector<Choice> choices;
    std::vector<std::vector<uint32_t>> edges;  // of each choice
    uint32_t first_edge = 0, edge_count = 0;
    std::vector<double> weight;  // of the choices in this round, relative
  };
  void Weigh(Chooser& chooser) const;

  std::vector<Chooser> choosers_;
  std::vector<Edge> edges_;
  std::vector<std::vector<uint32_t>> of_call_;
  std::vector<double> nobody_;
};

}  // namespace spantap
