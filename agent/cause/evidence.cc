// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/evidence.h"

#include <algorithm>
#include <cmath>

namespace spantap {
namespace {

struct Meaning {
  absl::string_view name;
  int direction;
};
constexpr Meaning kMeanings[kSigns] = {
    {"joint", 1},           {"local", 1},      {"rivals", -1},         {"rivalry", -1},      {"claimed", 1},
    {"crowded", -1},        {"likeliest", 1},  {"neighbour", 1},       {"unclaimed", -1},    {"timelines", 0},
    {"margin", 1},          {"step", 1},       {"worst_step", 1},      {"mean_step", 1},     {"reply_step", 1},
    {"follows", 1},         {"nearness", 0},   {"immediate", 0},       {"least_known", 0},   {"tokens", 1},
    {"token", 1},           {"proposal", 0},   {"proposed_here", 0},   {"contradicted", -1}, {"missing", -1},
    {"dequeued", 0},        {"queued", 1},     {"alike", 0},           {"open", 0},          {"left_open", -1},
    {"left_open_here", -1}, {"disagreed", -1}, {"unsimulated", 0},     {"waited", -1},       {"queues_disagreed", -1},
    {"pools", 0},           {"dropped", -1},   {"rivals_dropped", -1}, {"alike_in_turn", -1}};

bool Has(const Timeline& timeline, const Call& call) {
  return std::find(timeline.calls.begin(), timeline.calls.end(), &call) != timeline.calls.end();
}

}  // namespace

absl::string_view NameOf(Sign sign) { return kMeanings[static_cast<size_t>(sign)].name; }

int DirectionOf(Sign sign) { return kMeanings[static_cast<size_t>(sign)].direction; }

float Digits(double p) { return static_cast<float>(-std::log10(std::max(1e-9, 1 - p))); }

double DroppedOf(const Handler& handler) {
  if (handler.dropped <= kNothing || handler.timelines.empty()) return handler.dropped;
  return handler.dropped - handler.timelines.front().score;
}

void LookAtTimelines(const Handler& handler, const Call& call, Evidence& evidence) {
  double with = kNothing, without = kLogUnknown;
  for (const Timeline& timeline : handler.timelines) {
    double& most = Has(timeline, call) ? with : without;
    most = std::max(most, timeline.score);
  }
  evidence[Sign::kDropped] = static_cast<float>(DroppedOf(handler));
  evidence[Sign::kTimelines] = static_cast<float>(handler.timelines.size());
  evidence[Sign::kMargin] = static_cast<float>(with - without);
  evidence[Sign::kLikeliest] = Digits(handler.best_probability);
}

void LookAtSteps(const TimelineSearch& search, const Learned& learned, const Handler& handler, const Call& call,
                 Evidence& evidence) {
  double worst = 0, sum = 0, least = 1e9;
  int steps = 0;
  search.Walk(handler, handler.best.calls, [&](const TimelineSearch::Step& step) {
    worst = std::min(worst, step.score), sum += step.score;
    least = std::min(least, learned.odds.SeenOf(step.context));
    ++steps;
    if (step.call == nullptr) evidence[Sign::kReplyStep] = static_cast<float>(step.score);
    if (step.call != &call) return;
    evidence[Sign::kStep] = static_cast<float>(step.score);
    evidence[Sign::kFollows] = static_cast<float>(learned.program.LogOf(step.before.state, step.context.next));
    evidence[Sign::kNearness] =
        See(step.before.Before(call.sent), call.sent, handler.begin.tid, learned.odds.HopOf(step.context)).nearness;
    evidence[Sign::kImmediate] = static_cast<float>(learned.odds.ImmediateShare(step.context));
  });
  evidence[Sign::kWorstStep] = static_cast<float>(worst);
  evidence[Sign::kMeanStep] = static_cast<float>(sum / std::max(1, steps));
  evidence[Sign::kLeastKnown] = static_cast<float>(least);
  evidence[Sign::kTokens] = static_cast<float>(learned.TokenOdds(handler, call));
}

void LookAtSimulation(const Handler& handler, const Call& call, Evidence& evidence) {
  evidence[Sign::kProposal] = call.proposed == nullptr ? -1 : static_cast<float>(call.proposal);
  evidence[Sign::kProposedHere] = call.proposed == &handler;
  for (const Call* own : handler.best.calls) {
    evidence[Sign::kContradicted] += own->proposed != nullptr && own->proposed != &handler;
  }
  for (const Call* own : handler.proposed) evidence[Sign::kMissing] += !Has(handler.best, *own);
  evidence[Sign::kDequeued] = call.reuses;
  evidence[Sign::kQueued] = call.shares.empty() ? -1 : static_cast<float>(ShareOf(handler, call));
}

void LookAtStrain(const Learned& learned, const Handler& handler, const Call& call, Evidence& evidence) {
  const Strain& strain = learned.strain;
  evidence[Sign::kPools] = learned.waits;
  evidence[Sign::kQueuesDisagreed] = static_cast<float>(learned.queues_disagreed.value());
  evidence[Sign::kLeftOpen] = static_cast<float>(strain.open());
  evidence[Sign::kLeftOpenHere] = static_cast<float>(strain.OpenOf(handler.route, call.label));
  evidence[Sign::kDisagreed] = static_cast<float>(strain.disagreed.value());
  evidence[Sign::kUnsimulated] = static_cast<float>(strain.unsimulated.value());
  evidence[Sign::kWaited] = static_cast<float>(strain.waited.value());
}

}  // namespace spantap
