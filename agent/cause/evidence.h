// SPDX-License-Identifier: Apache-2.0
//
// Everything that can be said about a link when it is to be stated, one number a sign: what the sums say, how the
// handler's timeline looks, what the simulation thinks, and how calls of this kind went lately. sureness.h makes a
// probability of it. Order and meaning of the signs are those that its weights were fitted with.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "agent/cause/learned.h"
#include "agent/cause/timelines.h"
#include "agent/cause/window.h"

namespace spantap {

enum class Sign : uint8_t {
  // Of the sums; probabilities as digits of certainty, -log10(1 - p), up to 9.
  kJoint,      // over all joint choices
  kLocal,      // without asking what the others could do instead
  kRivals,     // handlers that might have the call
  kRivalry,    // probability that one of the others has it
  kClaimed,    // ... that anybody has it
  kCrowded,    // 1: too many joint choices for the sum
  kLikeliest,  // probability of the handler's likeliest timeline
  kNeighbour,  // the same of the handler with the least, of those that want one of its calls
  kUnclaimed,  // the most improbable of the calls that it may have made, to be anybody's: 0 to 1
  // Of the handler's timelines.
  kTimelines,  // that are thinkable
  kMargin,     // nats between the best with this call and the best without
  kStep,       // nats of the step to this call
  kWorstStep,  // nats of the worst step
  kMeanStep,
  kReplyStep,
  kFollows,     // log of how often such a call follows there
  kNearness,    // steps.h
  kImmediate,   // share of such steps that go straight on
  kLeastKnown,  // how often the least known of its steps has been seen
  kTokens,      // nats that tokens say for it
  kToken,       // 1: a rare value that no other open request has
  // Of the simulation.
  kProposal,      // a Proposal; -1: none
  kProposedHere,  // 1: it is for this handler
  kContradicted,  // calls of the timeline that the simulation gives to others
  kMissing,       // calls that it gives to this handler, and which are not in the timeline
  kDequeued,      // 1: its connection had just become free
  kQueued,        // how probable the order of the queue makes it, if it waited in one; -1: it did not
  // Of the surroundings.
  kAlike,  // calls of the same label while the handler was open
  kOpen,   // other handlers that were open
  // Of how it went lately: shares.
  kLeftOpen,         // of the process's calls, those that the sums left open
  kLeftOpenHere,     // the same of this route and label
  kDisagreed,        // of the simulation's proposals, those that the sums contradicted
  kUnsimulated,      // of the calls, those without a proposal
  kWaited,           // of the calls, those that seem to have waited for a connection
  kQueuesDisagreed,  // of those that a queue gave to somebody for sure, those that the sums gave to others
  kPools,            // 1: calls of the process wait for connections
  // Of what was not looked at.
  kDropped,        // nats of the timelines that the search had no place for, all together, against the best
  kRivalsDropped,  // the most of it among the other handlers that were open
  kAlikeInTurn,    // calls of the same label in the turn of the loop in which it was sent
};
inline constexpr size_t kSigns = static_cast<size_t>(Sign::kAlikeInTurn) + 1;

class Evidence {
 public:
  float& operator[](Sign sign) { return values_[static_cast<size_t>(sign)]; }
  float operator[](Sign sign) const { return values_[static_cast<size_t>(sign)]; }
  float at(size_t sign) const { return values_[sign]; }

 private:
  std::array<float, kSigns> values_ = {};
};

absl::string_view NameOf(Sign sign);  // static
// 1: more of it never makes a link less sure; -1: never surer; 0: neither is known.
int DirectionOf(Sign sign);

// -log10(1 - p), up to 9.
float Digits(double p);

// Nats of what a handler's search had no place for against the best that it found; kNothing if there was place for all.
double DroppedOf(const Handler& handler);

// What can be said without the other handlers. `handler` was given the call by the sums (Handler::best).
void LookAtTimelines(const Handler& handler, const Call& call, Evidence& evidence);
void LookAtSteps(const TimelineSearch& search, const Learned& learned, const Handler& handler, const Call& call,
                 Evidence& evidence);
void LookAtSimulation(const Handler& handler, const Call& call, Evidence& evidence);
void LookAtStrain(const Learned& learned, const Handler& handler, const Call& call, Evidence& evidence);

}  // namespace spantap
