// SPDX-License-Identifier: Apache-2.0
//
// What may follow where a handler stands, as learned. A search asks the same again and again, of many handlers:
// Outlooks looks it up once, in Program and Odds, and remembers what sights are worth. Good as long as nothing is
// learned, which is one round's searches. Event thread. Memory: while it lives, 300 bytes a stand that was met, and 16
// KiB.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "agent/cause/cause_finder.h"
#include "agent/cause/learned.h"
#include "agent/cause/progress.h"

namespace spantap {

// All handlers of a route that have called the same so far, and did the same last.
struct Outlook {
  struct Step {
    Label label = kReply;
    double log = 0;          // of its probability
    bool immediate = false;  // it usually follows at once
    bool overtakes = false;  // sent by another thread, it may come before what it follows, which it seldom did
    Odds::Reach reach;
    Odds::View usual;
    Odds::View dialled;  // valid when `dialled_known`
    bool dialled_known = false;
  };
  StepContext context;                  // of all its steps, but for what is next
  double answers = 0;                   // log: all answers are read before another call
  absl::InlinedVector<Step, 4> calls;   // that follow more than rarely
  absl::InlinedVector<Step, 1> others;  // others that were asked for
  Step reply;                           // valid when `reply_known`
  bool reply_known = false;
  absl::InlinedVector<std::pair<uint16_t, Outlook*>, 6> after;  // where steps and answers led so far
};

class Outlooks {
 public:
  Outlooks(const CauseSettings& settings, const Learned& learned) : settings_(settings), learned_(learned) {}

  Outlook& Of(const Progress& progress);
  // The same for where a handler stands after a call that it sent, or after answers; `before`: where it stood then.
  Outlook& AfterCall(Outlook& before, const Progress& progress) { return After(before, progress, true); }
  Outlook& AfterAnswers(Outlook& before, const Progress& progress) { return After(before, progress, false); }
  // One of the steps of an outlook, whether it is a usual one or not.
  Outlook::Step& StepTo(Outlook& outlook, const HandlerState& state, Label next);
  // How likely a handler goes on so, against somebody else having done it, in nats.
  double ScoreOf(Outlook::Step& step, const Progress& from, const Call& call, uint32_t home);
  double ScoreOfReply(Outlook& outlook, const Progress& from, const Moment& reply, uint32_t home);

 private:
  struct Worth {
    uint64_t key = 0;
    double odds = 0;
  };
  static constexpr size_t kWorths = 1024;
  Outlook& After(Outlook& before, const Progress& progress, bool call);
  bool MayOvertake(const Progress& progress, Label next) const;
  Outlook::Step Look(const Outlook& outlook, const HandlerState& state, Label next) const;
  double WorthOf(const Odds::View& view, bool dequeued, bool reuses, const Sight& sight);

  const CauseSettings& settings_;
  const Learned& learned_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Outlook>> outlooks_;
  std::vector<Worth> worths_;  // of sights, by what they depend on; a newer one takes an older one's place
};

}  // namespace spantap
