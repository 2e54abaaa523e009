// SPDX-License-Identifier: Apache-2.0
//
// One round of decisions in a process: the timelines of all handlers that are over become one assignment; for each call
// that is due, who has it and what can be stated. Changes nothing but scratch fields of the window and Handler::best.
// Event thread; lives as long as the round.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "agent/cause/assignment.h"
#include "agent/cause/call_index.h"
#include "agent/cause/evidence.h"
#include "agent/cause/gates.h"
#include "agent/cause/learned.h"
#include "agent/cause/timelines.h"

namespace spantap {

class DecisionRound {
 public:
  // `handlers`: searched, in order of their begin.
  DecisionRound(const CauseSettings& settings, const Learned& learned, const TimelineSearch& search,
                const CallIndex& index, const std::vector<Handler*>& handlers)
      : settings_(settings), learned_(learned), search_(search), index_(index), handlers_(handlers) {}

  // For the calls sent before `until_ns`.
  void Solve(uint64_t until_ns);
  struct Finding {
    Handler* handler = nullptr;  // null: nobody could have sent it
    Statement said;
    double joint = 0;  // probability, before the gates
    bool by_token = false;
  };
  // `open`: handlers that might have the call's tokens, too, and are not in this round.
  Finding Of(const Call& call, const std::vector<Handler*>& open) const;

 private:
  void AddHandler(Handler& handler);
  static bool Possible(const Handler& handler, const Timeline& timeline);
  void NoteBest(uint32_t number);
  using Claims = Assignment::Claims;
  // Of the chooser `number` having the call, with that probability.
  LinkEvidence EvidenceOf(const Claims& claims, const Call& call, uint32_t number, double joint,
                          const std::vector<Handler*>& open) const;
  void LookAtRivals(const Claims& claims, const Call& call, uint32_t number, double joint, Evidence& evidence) const;
  void NoteWanted();
  double MostDroppedBy(const Call& call, const Handler& but) const;
  bool OnlyTokenHolder(const Call& call, const Handler& holder, const std::vector<Handler*>& open) const;

  const CauseSettings& settings_;
  const Learned& learned_;
  const TimelineSearch& search_;
  const CallIndex& index_;
  const std::vector<Handler*>& handlers_;
  struct Wanted {
    double all = 0;    // probability that anybody has the call
    double least = 1;  // of the likeliest timelines of those that might have it, the least probability
  };
  std::vector<Wanted> wanted_;            // by number of the call
  std::vector<const Handler*> dropping_;  // handlers whose search had no place for all
  Assignment assignment_;
  std::vector<Choice> some_;                            // of the handler that is being added, kept for its memory
  std::vector<const Call*> calls_;                      // by number
  std::deque<absl::InlinedVector<uint32_t, 4>> lists_;  // what choices point to
  std::vector<std::vector<const Timeline*>> choices_;   // of each handler; null: something unknown
};

}  // namespace spantap
