// SPDX-License-Identifier: Apache-2.0
//
// Tells a list of events to a CauseFinder and holds it to its contract all the way: one decision for each outgoing
// request, none for what is known; each incoming one released once, and never named afterwards; confidences and reasons
// that agree. One thread; memory: what was told.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/cause/cause_finder.h"
#include "tests/agent/cause/simulated.h"

namespace spantap {

struct Score {
  size_t all = 0, right = 0, stated = 0, wrong = 0;  // stated: above 0.9; wrong: of these
  double Right() const { return all == 0 ? 1 : static_cast<double>(right) / static_cast<double>(all); }
  double Stated() const { return all == 0 ? 1 : static_cast<double>(stated) / static_cast<double>(all); }
};

class Judge {
 public:
  explicit Judge(const CauseSettings& settings = {}) : settings_(settings), finder_(settings) {}

  void Tell(const Told& told);
  void Tell(const ToldList& list);
  // Ends everything; afterwards all must have been decided and released.
  void End();
  void Take();

  bool ticks = true;  // tells the time now and then

  CauseFinder& finder() { return finder_; }
  const std::vector<CauseDecision>& decisions() const { return decisions_; }
  const std::vector<uint64_t>& released() const { return released_; }
  const std::vector<std::string>& faults() const { return faults_; }
  const CauseDecision* Of(uint64_t outgoing) const;
  Score ScoreOf(const Truth& truth, uint64_t from_ns = 0) const;
  size_t Undecided() const;
  uint64_t longest_wait_ns() const { return longest_wait_ns_; }

 private:
  void Check(const CauseDecision& decision);
  void Fault(const std::string& what, uint64_t id);

  const CauseSettings settings_;
  CauseFinder finder_;
  uint64_t now_ns_ = 0, time_ns_ = 0, longest_wait_ns_ = 0;
  std::map<uint64_t, Told> incoming_, outgoing_;
  std::set<uint64_t> known_, gone_;
  std::map<uint64_t, CauseDecision> decided_;
  std::vector<CauseDecision> decisions_;
  std::vector<uint64_t> released_;
  std::vector<std::string> faults_;
};

}  // namespace spantap
