// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/timelines.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace spantap {
namespace {

constexpr size_t kMostCalls = 24;   // of a timeline; handlers with more are left alone
constexpr double kWorthwhile = 12;  // nats behind the best at which a timeline is dropped
constexpr uint64_t kTakeOverNs = 4'000'000;
constexpr uint64_t kOvertakeNs = 1'000'000;
constexpr double kOvertakes = -1.5;  // nats
constexpr size_t kNeighbours = 3;
constexpr double kTrusted = 0.85;
constexpr double kNegligible = -9;  // nats
constexpr double kMostDropped = 60;
constexpr double kLeastStep = -8;                     // a step that is so unlikely is not taken
constexpr double kNotMine = -1e9, kNotWeighed = 1e9;  // Call::looks, else nats

bool Mine(const Handler& handler, const Call& call) {
  if (call.nobodys || (call.owner != nullptr && call.owner != &handler)) return false;
  if (handler.waits && call.likely != nullptr && call.likely != &handler) return false;
  // What was answered after the reply was not waited for.
  return call.answered && (!handler.replied || call.answer.ns <= handler.reply.ns);
}

}  // namespace

// The handler did nothing else: it read all answers, and replied. `followed`: how far Extend came.
void TimelineSearch::Complete(const Handler& handler, const Partial& from, const Stand& followed) {
  if (from.calls.size() < handler.own.size()) return;
  for (const Call* own : handler.own) {
    if (std::find(from.calls.begin(), from.calls.end(), own) == from.calls.end()) return;
  }
  const auto found = [&](const Progress& end, Outlook& outlook) {
    const double answers = from.progress.state.outstanding ? from.outlook->answers : 0;
    const double reply = outlooks_.ScoreOfReply(outlook, end, handler.reply, handler.begin.tid);
    Found(from, from.score + answers + reply + learned_.EndOdds(handler, end));
  };
  if (!handler.replied) return Found(from, from.score);
  if (followed.progress.outstanding.empty()) return found(followed.progress, *followed.outlook);
  Progress end = followed.progress;
  end.ReadUntil(handler.reply.ns);
  if (end.outstanding.empty()) found(end, outlooks_.AfterAnswers(*followed.outlook, end));
}

void TimelineSearch::Found(const Partial& partial, double score) {
  best_ = found_.empty() ? score : std::max(best_, score);
  if (score < best_ - kWorthwhile) return;
  found_.push_back({score, partial.calls});
  auto& calls = found_.back().calls;
  if (learned_.waits) std::sort(calls.begin(), calls.end(), SentBefore);
}

// Of those that were found, in order; of equally good ones the first found.
void TimelineSearch::KeepBest(Handler& handler) {
  options_.clear();
  for (uint32_t i = 0; i < found_.size(); ++i) {
    if (found_[i].score >= best_ - kWorthwhile) options_.push_back({found_[i].score, 0, i, nullptr, false, 0});
  }
  KeepMost();
  std::sort(options_.begin(), options_.end(), Better());
  handler.timelines.reserve(options_.size());
  for (const Option& option : options_) handler.timelines.push_back(std::move(found_[option.number]));
}

// Whether the call may be the handler's, whatever else it did. Partial timelines ask the same of the same calls.
inline bool TimelineSearch::MayBe(const Handler& handler, Call& call) const {
  if (call.looked_by != looker_) {
    call.looked_by = looker_;
    call.looks = Mine(handler, call) && !RuledOut(handler, call) ? kNotWeighed : kNotMine;
  }
  return call.looks != kNotMine;
}

// What tokens and simulation say of such a call.
double TimelineSearch::Witnesses(const Handler& handler, Call& call) const {
  if (call.looks == kNotWeighed) {
    const double tokens = settings_.use_tokens ? learned_.TokenOdds(handler, call) : 0;
    call.looks = tokens + learned_.ProposalOdds(handler, call);
  }
  return call.looks;
}

// What there is no place for weighs something, too: `dropped` of the handler.
void TimelineSearch::Drop(double score) {
  if (score > kNegligible) dropped_ += std::exp(std::min(score, kMostDropped));
}

void TimelineSearch::KeepMost() {
  if (options_.size() <= most_) return;
  std::nth_element(options_.begin(), options_.begin() + most_, options_.end(), Better());
  beat_ = options_[most_].score;
  for (size_t i = most_; i < options_.size(); ++i) Drop(options_[i].score);
  options_.resize(most_);
}

// The worst are dropped as soon as there are twice as many as can be gone on with.
void TimelineSearch::Offer(const Option& option) {
  ++offered_;
  if (option.score <= beat_) return Drop(option.score);
  options_.push_back(option);
  if (options_.size() > 2 * most_) KeepMost();
}

bool TimelineSearch::Trusted(const Call& call) const {
  return call.proposed != nullptr && learned_.proposals[static_cast<size_t>(call.proposal)].value() > kTrusted;
}

// Whether the call at `i` is worth a look: where the simulation has something to say, what it says and what is beside
// that, since it errs by shifting neighbours; what it has no opinion on always is.
bool TimelineSearch::Near(const Handler& handler, CallIndex::Calls calls, size_t i) const {
  const size_t from = i < kNeighbours ? 0 : i - kNeighbours;
  for (size_t k = from; k < calls.size() && k <= i + kNeighbours; ++k) {
    if (calls[k]->proposed == &handler || (k == i && !Trusted(*calls[k]))) return true;
  }
  return false;
}

// Calls of one label are made in the order in which they are sent.
bool TimelineSearch::LaterLike(const Partial& from, const Call& call) {
  return std::any_of(from.calls.begin(), from.calls.end(),
                     [&](const Call* other) { return other->label == call.label && SentBefore(&call, other); });
}

void TimelineSearch::Try(const Handler& handler, const Stand& stand, Outlook::Step& step, CallIndex::Calls calls,
                         uint64_t from_ns, uint64_t until_ns) {
  const Partial& from = *stand.from;
  const bool told = settings_.use_order && calls.size() > kNeighbours &&
                    std::any_of(calls.begin(), calls.end(),
                                [&](const Call* call) { return call->proposed == &handler && Trusted(*call); });
  for (size_t i = 0; i < calls.size(); ++i) {
    Call* const call = calls[i];
    if (call->sent.ns < from_ns || call->sent.ns > until_ns) continue;
    if (call->sent.tid == skip_tid_ && (skip_whole_thread_ || call->sent.turn == skip_turn_)) continue;
    if (skip_whole_thread_ && (call->reuses || call->dequeued || call->dialled)) continue;  // has been looked at
    if (late_ && !call->dequeued && !call->dialled && learned_.Strained()) continue;
    if (overtaking_ && (call->sent.tid == stand.progress.at.tid || call->sent.tid == handler.begin.tid)) continue;
    if (!MayBe(handler, *call) || (told && !Near(handler, calls, i))) continue;
    if (std::find(from.calls.begin(), from.calls.end(), call) != from.calls.end()) continue;
    const bool awaited = awaits_ && stand.progress.Waited(*call);
    if (awaited && LaterLike(from, *call)) continue;
    if (++steps_ > settings_.max_steps) return;
    double score = outlooks_.ScoreOf(step, stand.progress, *call, handler.begin.tid);
    score += Witnesses(handler, *call) + (overtaking_ ? kOvertakes : 0);
    if (score < kLeastStep) continue;
    Offer({stand.score + score, static_cast<uint32_t>(stands_.size() - 1), offered_, call, awaited, step.usual.hop()});
  }
}

// Where calls with that label are to be looked for: in the turn in which they usually follow and in case they waited
// or another thread took over; or as long as they may take.
void TimelineSearch::TryAll(const Handler& handler, const Stand& stand, Outlook::Step& step, const CallIndex& calls,
                            uint64_t from_ns, uint64_t until_ns) {
  const Moment& at = stand.progress.at;
  const Odds::Reach& reach = step.reach;
  // What it makes at once may be sent at any time later, before or after what it makes next.
  awaits_ = learned_.waits && step.immediate;
  const uint64_t late_ns = awaits_ && handler.replied ? handler.reply.ns : until_ns;
  if (reach.hop == kAnyHop) {
    const uint64_t last = reach.ns > until_ns - at.ns ? until_ns : at.ns + reach.ns;
    Try(handler, stand, step, calls.Between(step.label, from_ns, last), from_ns, until_ns);
    late_ = true;
    if (last < late_ns) Try(handler, stand, step, calls.Late(step.label, last + 1, late_ns), from_ns, late_ns);
    late_ = false;
    return;
  }
  Try(handler, stand, step, calls.InTurn(step.label, at.tid, at.turn + reach.hop), from_ns, until_ns);
  skip_turn_ = at.turn + reach.hop, skip_tid_ = at.tid;
  late_ = true;
  Try(handler, stand, step, calls.Late(step.label, from_ns, late_ns), from_ns, late_ns);
  late_ = false;
  if (calls.threads() > 1) {
    skip_whole_thread_ = true;
    const uint64_t last = std::min(until_ns, at.ns + kTakeOverNs);
    Try(handler, stand, step, calls.Between(step.label, from_ns, last), from_ns, last);
    skip_whole_thread_ = false;
  }
  skip_tid_ = 0;
}

// Threads that calls are handed to send them in any order.
void TimelineSearch::TryOvertaking(const Handler& handler, const Stand& stand, Outlook::Step& step,
                                   const CallIndex& calls) {
  const Progress& progress = stand.progress;
  if (progress.at.tid == handler.begin.tid || progress.read.ns >= progress.at.ns) return;
  const uint64_t first = std::max(progress.read.ns, progress.at.ns - std::min(progress.at.ns, kOvertakeNs));
  overtaking_ = true;
  Try(handler, stand, step, calls.Between(step.label, first, progress.at.ns - 1), first, progress.at.ns - 1);
  overtaking_ = false;
}

void TimelineSearch::Extend(const Handler& handler, const Partial& from, const CallIndex& calls, bool waiting) {
  // The next call that is surely the handler's cannot be passed over.
  uint64_t end = handler.replied ? handler.reply.ns : UINT64_MAX;
  for (const Call* own : handler.own) {
    if (std::find(from.calls.begin(), from.calls.end(), own) != from.calls.end()) continue;
    end = std::min(end, own->sent.ns + (own->sent.tid != handler.begin.tid ? kOvertakeNs : 0));
    break;
  }
  // From answer to answer: each changes what the handler may do next.
  stands_.push_back({&from, from.progress, from.outlook, from.score});
  uint64_t begin = from.progress.at.ns;
  while (begin <= end) {
    Stand& stand = stands_.back();
    const uint32_t offered = offered_;
    uint64_t until = end;
    for (const Call* call : stand.progress.outstanding) until = std::min(until, call->answer.ns);
    for (Outlook::Step& step : stand.outlook->calls) {
      waits_ |= !step.immediate;
      if (waits_ && !waiting) return;
      TryAll(handler, stand, step, calls, begin, until);
      if (step.overtakes && begin == stand.progress.at.ns) TryOvertaking(handler, stand, step, calls);
    }
    if (stand.progress.outstanding.empty()) return;
    begin = until + 1;
    if (offered_ > offered) stands_.push_back(stand);  // which is gone on from
    Stand& next = stands_.back();
    next.progress.ReadUntil(until);
    if (next.progress.outstanding.empty()) next.score += next.outlook->answers;
    next.outlook = &outlooks_.AfterAnswers(*next.outlook, next.progress);
  }
}

// The best options become the partial timelines of the next level; of equally good ones those tried first.
void TimelineSearch::TakeBest() {
  KeepMost();
  std::sort(options_.begin(), options_.end(), Better());
  next_.clear();
  for (const Option& option : options_) {
    const Stand& stand = stands_[option.stand];
    Partial& more = next_.emplace_back(option.score, stand.progress, stand.from->calls);
    if (option.awaited) {
      more.progress.Await(*option.call, option.hop);
    } else {
      more.progress.Send(*option.call);
    }
    more.outlook = &outlooks_.AfterCall(*stand.outlook, more.progress);
    more.calls.push_back(option.call);
  }
  std::swap(level_, next_);
}

// The first of those left that is made now and was sent when a connection became free.
TimelineSearch::Left::iterator TimelineSearch::Awaited(const Progress& at, Left& left) const {
  const Program::NextLabels* const labels = learned_.program.NextOf(at.state);
  if (labels == nullptr) return left.end();
  return std::find_if(left.begin(), left.end(), [&](const Call* call) {
    const auto same = [call](const auto& next) { return next.first == call->label; };
    return at.Waited(*call) && std::any_of(labels->begin(), labels->end(), same) &&
           learned_.odds.Immediate(at.Next(call->label));
  });
}

void TimelineSearch::Walk(const Handler& handler, absl::Span<Call* const> calls,
                          absl::FunctionRef<void(const Step&)> visit) const {
  Progress at(handler);
  Left left(calls.begin(), calls.end());
  while (!left.empty()) {
    const auto waited = learned_.waits ? Awaited(at, left) : left.end();
    if (waited == left.end() && at.ReadNext(left.front()->sent.ns)) continue;
    Call* const call = waited == left.end() ? left.front() : *waited;
    Outlook::Step& step = outlooks_.StepTo(outlooks_.Of(at), at.state, call->label);
    visit({at, at.Next(*call), call, outlooks_.ScoreOf(step, at, *call, handler.begin.tid)});
    if (waited == left.end()) {
      at.Send(*call);
    } else {
      at.Await(*call, step.usual.hop());
    }
    left.erase(waited == left.end() ? left.begin() : waited);
  }
  if (!handler.replied) return;
  at.ReadUntil(handler.reply.ns);
  const double score = outlooks_.ScoreOfReply(outlooks_.Of(at), at, handler.reply, handler.begin.tid);
  visit({at, at.Next(kReply), nullptr, score + learned_.EndOdds(handler, at)});
}

void TimelineSearch::Run(Handler& handler, const CallIndex& calls, bool waiting) {
  handler.tried = true;
  handler.timelines.clear();
  found_.clear();
  steps_ = 0;
  dropped_ = 0;
  waits_ = false;
  looker_ = static_cast<uint32_t>(handler.id << 2 | static_cast<uint64_t>(handler.waits) << 1 | 1);
  most_ = learned_.Strained() ? settings_.max_hypotheses * 2 / 3 : settings_.max_hypotheses;
  level_.clear();
  level_.emplace_back(0, Progress(handler), Calls());
  level_[0].outlook = &outlooks_.Of(level_[0].progress);
  for (size_t depth = 0; !level_.empty() && depth <= kMostCalls && steps_ <= settings_.max_steps; ++depth) {
    options_.clear();
    stands_.clear();
    offered_ = 0, beat_ = -1e300;
    for (const Partial& partial : level_) {
      Extend(handler, partial, calls, waiting);
      if (waits_ && !waiting) {
        handler.waits = true;
        return;
      }
      Complete(handler, partial, stands_.back());
    }
    TakeBest();
  }
  handler.searched = true;
  if (steps_ > settings_.max_steps) {
    ++counters_.cut_short;
    for (const Partial& partial : level_) Drop(partial.score);
  }
  KeepBest(handler);
  handler.dropped = dropped_ > 0 ? std::log(dropped_) : kNothing;
  counters_.timelines += handler.timelines.size();
}

}  // namespace spantap
