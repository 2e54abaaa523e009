// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/outlook.h"

#include "agent/cause/window.h"

namespace spantap {
namespace {

constexpr float kOtherOrder = 0.2f;  // share of what follows from which on both orders of two calls are usual
constexpr float kRareNext = 0.005f;  // share of what follows a state below which it is not looked for

uint64_t KeyOf(const Progress& progress) {
  const uint64_t last = static_cast<uint64_t>(progress.last) << 8 | progress.last_label;
  return progress.state.key() ^ (last + 1) * 0x9e3779b97f4a7c15ull;
}

}  // namespace

Outlook::Step Outlooks::Look(const Outlook& outlook, const HandlerState& state, Label next) const {
  Outlook::Step step;
  step.label = next;
  StepContext context = outlook.context;
  context.next = next;
  if (settings_.use_program) step.log = learned_.program.LogOf(state, next);
  step.usual = learned_.odds.ViewOf(context);
  if (next == kReply) return step;
  step.immediate = learned_.odds.Immediate(context);
  step.reach = learned_.odds.ReachOf(context);
  return step;
}

// Two calls that are made one right after the other, by threads that they are handed to. Where the other order is usual,
// too, it is a step of its own.
bool Outlooks::MayOvertake(const Progress& progress, Label next) const {
  if (progress.last != Last::kCall || progress.last_label == next) return false;
  const std::optional<Bag> before = progress.state.bag.Without(progress.last_label);
  if (!before) return false;
  for (const bool outstanding : {false, true}) {
    const auto* const labels = learned_.program.NextOf({progress.state.route, *before, outstanding});
    if (labels == nullptr) continue;
    float all = 0, seen = 0;
    for (const auto& [label, count] : *labels) all += count, seen += label == next ? count : 0;
    if (seen >= kOtherOrder * all) return false;
  }
  return true;
}

Outlook& Outlooks::Of(const Progress& progress) {
  auto& outlook = outlooks_[KeyOf(progress)];
  if (outlook != nullptr) return *outlook;
  outlook = std::make_unique<Outlook>();
  outlook->context = progress.Next(kReply);
  if (progress.state.outstanding && settings_.use_program) {
    outlook->answers = learned_.program.LogOfAnswers(progress.state);
  }
  if (const Program::NextLabels* const labels = learned_.program.NextOf(progress.state)) {
    float all = 0;
    for (const auto& [label, seen] : *labels) all += seen;
    for (const auto& [label, seen] : *labels) {
      if (label == kReply || seen < kRareNext * all) continue;
      outlook->calls.push_back(Look(*outlook, progress.state, label));
      Outlook::Step& step = outlook->calls.back();
      step.overtakes = step.immediate && MayOvertake(progress, label);
    }
  }
  return *outlook;
}

Outlook& Outlooks::After(Outlook& before, const Progress& progress, bool call) {
  const auto how = static_cast<uint16_t>(call << 9 | progress.state.outstanding << 8 |
                                         static_cast<int>(progress.last) << 6 | progress.last_label);
  for (const auto& [which, after] : before.after) {
    if (which == how) return *after;
  }
  Outlook& after = Of(progress);
  before.after.emplace_back(how, &after);
  return after;
}

Outlook::Step& Outlooks::StepTo(Outlook& outlook, const HandlerState& state, Label next) {
  for (Outlook::Step& step : outlook.calls) {
    if (step.label == next) return step;
  }
  for (Outlook::Step& step : outlook.others) {
    if (step.label == next) return step;
  }
  return outlook.others.emplace_back(Look(outlook, state, next));
}

double Outlooks::WorthOf(const Odds::View& view, bool dequeued, bool reuses, const Sight& sight) {
  if (worths_.empty()) worths_.resize(kWorths);
  // No key is 0, which is that of empty places.
  const uint64_t key = static_cast<uint64_t>(view.key()) << 16 | static_cast<uint64_t>(dequeued) << 15 |
                       static_cast<uint64_t>(reuses) << 14 | static_cast<uint64_t>(sight.gap + 1) << 8 | sight.nearness;
  Worth& worth = worths_[key * 0x9e3779b97f4a7c15ull >> 54];
  if (worth.key != key) worth = {key, learned_.odds.Of(view, dequeued, reuses, sight)};
  return worth.odds;
}

double Outlooks::ScoreOf(Outlook::Step& step, const Progress& from, const Call& call, uint32_t home) {
  if (call.dialled && !step.dialled_known) {
    step.dialled = learned_.odds.ViewOf(from.Next(call));
    step.dialled_known = true;
  }
  const Odds::View& view = call.dialled ? step.dialled : step.usual;
  return step.log +
         WorthOf(view, from.Waited(call), from.Reuses(call), See(from.Before(call.sent), call.sent, home, view.hop()));
}

double Outlooks::ScoreOfReply(Outlook& outlook, const Progress& from, const Moment& reply, uint32_t home) {
  if (!outlook.reply_known) {
    outlook.reply = Look(outlook, from.state, kReply);
    outlook.reply_known = true;
  }
  const Outlook::Step& step = outlook.reply;
  if (!settings_.use_end) return step.log;
  return step.log + WorthOf(step.usual, false, false, See(from.Before(reply), reply, home, step.usual.hop()));
}

}  // namespace spantap
