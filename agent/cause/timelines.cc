// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/timelines.h"

#include <algorithm>
#include <cmath>

namespace spantap {
namespace {

constexpr size_t kMostCalls = 24;    // of a timeline; handlers with more are left alone
constexpr double kWorthwhile = 12;   // nats behind the best at which a timeline is dropped
constexpr float kRareNext = 0.005f;  // share of what follows a state below which it is not looked for
constexpr uint64_t kTakeOverNs = 4'000'000;
constexpr size_t kNeighbours = 3;
constexpr double kTrusted = 0.85;
constexpr double kLeastStep = -8;  // a step that is so unlikely is not taken

}  // namespace

bool TimelineSearch::Mine(const Handler& handler, const Call& call) const {
  if (call.nobodys || (call.owner != nullptr && call.owner != &handler)) return false;
  if (handler.waits && call.likely != nullptr && call.likely != &handler) return false;
  // What was answered after the reply was not waited for.
  return call.answered && (!handler.replied || call.answer.ns <= handler.reply.ns);
}

double TimelineSearch::StepScore(const Handler& handler, const Progress& before, const StepContext& context,
                                 const Moment& to) const {
  double score = 0;
  if (settings_.use_program) score += learned_.program.LogOf(before.state, context.next);
  if (context.next == kReply && !settings_.use_end) return score;
  const Sight sight = See(before.at, to, handler.begin.tid, learned_.odds.HopOf(context));
  return score + learned_.odds.Of(context, sight);
}

void TimelineSearch::Complete(Handler& handler, const Partial& from) {
  if (from.calls.size() < handler.own.size()) return;
  for (const Call* own : handler.own) {
    if (std::find(from.calls.begin(), from.calls.end(), own) == from.calls.end()) return;
  }
  Progress end = from.progress;
  double score = from.score;
  if (handler.replied) {
    end.ReadUntil(handler.reply.ns);
    if (!end.outstanding.empty()) return;
    score += StepScore(handler, end, end.Next(kReply), handler.reply);
  }
  handler.timelines.push_back({score, from.calls});
  auto& calls = handler.timelines.back().calls;
  if (learned_.waits) std::sort(calls.begin(), calls.end(), SentBefore);
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

void TimelineSearch::Try(const Handler& handler, const Partial& from, const Progress& at, CallIndex::Calls calls,
                         uint64_t from_ns, uint64_t until_ns, std::vector<Partial>& next) {
  const bool told = settings_.use_order && calls.size() > kNeighbours &&
                    std::any_of(calls.begin(), calls.end(),
                                [&](const Call* call) { return call->proposed == &handler && Trusted(*call); });
  for (size_t i = 0; i < calls.size(); ++i) {
    Call* const call = calls[i];
    if (call->sent.ns < from_ns || call->sent.ns > until_ns || !Mine(handler, *call)) continue;
    if (call->sent.tid == skip_tid_ && (skip_whole_thread_ || call->sent.turn == skip_turn_)) continue;
    if (skip_whole_thread_ && (call->dequeued || call->dialled)) continue;  // has been looked at
    if (told && !Near(handler, calls, i)) continue;
    if (std::find(from.calls.begin(), from.calls.end(), call) != from.calls.end()) continue;
    if (RuledOut(handler, *call)) continue;
    const bool awaited = awaits_ && at.Waited(*call);
    if (awaited && LaterLike(from, *call)) continue;
    if (++steps_ > settings_.max_steps) return;
    double step = StepScore(handler, at, at.Next(*call), call->sent);
    step += (settings_.use_tokens ? learned_.TokenOdds(handler, *call) : 0) + learned_.ProposalOdds(handler, *call);
    if (step < kLeastStep) continue;
    Partial& more = next.emplace_back(Partial{from.score + step, at, from.calls});
    if (awaited) {
      more.progress.Await(*call, learned_.odds.HopOf(at.Next(call->label)));
    } else {
      more.progress.Send(*call);
    }
    more.calls.push_back(call);
  }
}

void TimelineSearch::Extend(const Handler& handler, const Partial& from, const CallIndex& calls,
                            std::vector<Partial>& next) {
  // The next call that is surely the handler's cannot be passed over.
  uint64_t end = handler.replied ? handler.reply.ns : UINT64_MAX;
  for (const Call* own : handler.own) {
    if (std::find(from.calls.begin(), from.calls.end(), own) != from.calls.end()) continue;
    end = std::min(end, own->sent.ns);
    break;
  }
  // From answer to answer: each changes what the handler may do next.
  Progress at = from.progress;
  uint64_t begin = at.at.ns;
  while (begin <= end) {
    uint64_t until = end;
    for (const Call* call : at.outstanding) until = std::min(until, call->answer.ns);
    if (const Program::NextLabels* const labels = learned_.program.NextOf(at.state)) {
      float all = 0;
      for (const auto& [label, seen] : *labels) all += seen;
      for (const auto& [label, seen] : *labels) {
        if (label == kReply || seen < kRareNext * all) continue;
        const Odds::Reach reach = learned_.odds.ReachOf(at.Next(label));
        const bool immediate = learned_.odds.Immediate(at.Next(label));
        waits_ |= !immediate;
        // What it makes at once may be sent at any time later, before or after what it makes next.
        awaits_ = learned_.waits && immediate;
        const uint64_t late = awaits_ && handler.replied ? handler.reply.ns : until;
        if (reach.hop != kAnyHop) {
          Try(handler, from, at, calls.InTurn(label, at.at.tid, at.at.turn + reach.hop), begin, until, next);
          skip_turn_ = at.at.turn + reach.hop, skip_tid_ = at.at.tid;
          Try(handler, from, at, calls.Late(label, begin, late), begin, late, next);
          if (calls.threads() > 1) {  // another thread may have taken it over
            skip_whole_thread_ = true;
            const uint64_t last = std::min(until, at.at.ns + kTakeOverNs);
            Try(handler, from, at, calls.Between(label, begin, last), begin, last, next);
            skip_whole_thread_ = false;
          }
          skip_tid_ = 0;
        } else {
          const uint64_t last = reach.ns > until - at.at.ns ? until : at.at.ns + reach.ns;
          Try(handler, from, at, calls.Between(label, begin, last), begin, until, next);
          if (last < late) Try(handler, from, at, calls.Late(label, last + 1, late), begin, late, next);
        }
      }
    }
    if (at.outstanding.empty()) return;
    begin = until + 1;
    at.ReadUntil(until);
  }
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

double TimelineSearch::WorstStep(const Handler& handler, absl::Span<Call* const> calls) const {
  Progress at(handler);
  double worst = 0;
  Left left(calls.begin(), calls.end());
  while (!left.empty()) {
    const auto waited = learned_.waits ? Awaited(at, left) : left.end();
    if (waited == left.end() && at.ReadNext(left.front()->sent.ns)) continue;
    Call& call = waited == left.end() ? *left.front() : **waited;
    worst = std::min(worst, StepScore(handler, at, at.Next(call), call.sent));
    if (waited == left.end()) {
      at.Send(call);
    } else {
      at.Await(call, learned_.odds.HopOf(at.Next(call.label)));
    }
    left.erase(waited == left.end() ? left.begin() : waited);
  }
  if (!handler.replied) return worst;
  at.ReadUntil(handler.reply.ns);
  return std::min(worst, StepScore(handler, at, at.Next(kReply), handler.reply));
}

void TimelineSearch::Run(Handler& handler, const CallIndex& calls, bool waiting) {
  handler.tried = true;
  handler.timelines.clear();
  steps_ = 0;
  waits_ = false;
  const uint32_t most = learned_.Strained() ? settings_.max_hypotheses * 2 / 3 : settings_.max_hypotheses;
  std::vector<Partial> level, next;
  level.push_back({0, Progress(handler), {}});
  const auto better = [](const Partial& a, const Partial& b) { return a.score > b.score; };
  for (size_t depth = 0; !level.empty() && depth <= kMostCalls && steps_ <= settings_.max_steps; ++depth) {
    next.clear();
    for (const Partial& partial : level) {
      Complete(handler, partial);
      Extend(handler, partial, calls, next);
      if (!waits_ || waiting) continue;
      handler.waits = true;
      handler.timelines.clear();
      return;
    }
    std::stable_sort(next.begin(), next.end(), better);
    if (next.size() > most) next.erase(next.begin() + most, next.end());
    std::swap(level, next);
  }
  handler.searched = true;
  counters_.cut_short += steps_ > settings_.max_steps;
  auto& found = handler.timelines;
  std::stable_sort(found.begin(), found.end(), [](const Timeline& a, const Timeline& b) { return a.score > b.score; });
  if (found.size() > most) found.resize(most);
  while (!found.empty() && found.back().score < found.front().score - kWorthwhile) found.pop_back();
  counters_.timelines += found.size();
}

}  // namespace spantap
