// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/timelines.h"

#include <algorithm>
#include <cmath>

namespace spantap {
namespace {

constexpr size_t kMostCalls = 24;       // of a timeline; handlers with more are left alone
constexpr double kWorthwhile = 12;      // nats behind the best at which a timeline is dropped
constexpr size_t kNeighbours = 3;
constexpr double kTrusted = 0.85;
constexpr double kTokenPrior = 2;
constexpr double kLeastStep = -8;       // a step that is so unlikely is not taken

}  // namespace

double TokenOdds(const Learned& learned, const Handler& handler, const Call& call) {
  if (call.tokens.empty()) return 0;
  double share = 1;  // of the rarest that they have in common
  double rarest = 1;
  for (const uint64_t token : call.tokens) {
    const double of = learned.token_counts.ShareOf(token);
    rarest = std::min(rarest, of);
    if (std::binary_search(handler.tokens.begin(), handler.tokens.end(), token)) share = std::min(share, of);
  }
  const auto it = learned.token_use.find(static_cast<uint32_t>(handler.route) << 8 | call.label);
  const double with = it == learned.token_use.end() ? 0 : it->second.with;
  const double same = it == learned.token_use.end() ? 0 : it->second.same;
  const double match = std::clamp((same + kTokenPrior / 2) / (with + kTokenPrior), 0.005, 0.995);
  share = std::min(share, 0.98);
  rarest = std::min(rarest, 0.98);
  return share < 0.98 ? std::log(match / share) : std::log((1 - match) / (1 - rarest));
}

double ProposalOdds(const Learned& learned, const Handler& handler, const Call& call) {
  if (call.proposed == nullptr) return 0;
  const double right = learned.proposals[static_cast<size_t>(call.proposal)].value();
  return call.proposed == &handler ? std::log(right / 0.5) : std::log((1 - right) / 0.5);
}

bool TimelineSearch::Mine(const Handler& handler, const Call& call) const {
  if (call.nobodys || (call.owner != nullptr && call.owner != &handler)) return false;
  if (handler.waits && call.likely != nullptr && call.likely != &handler) return false;
  // What was answered after the reply was not waited for.
  return call.answered && (!handler.replied || call.answer.ns <= handler.reply.ns);
}

double TimelineSearch::StepScore(const Handler& handler, const Progress& before, Label next, bool dequeued,
                                 const Moment& to) const {
  const StepContext context = before.Next(next, dequeued);
  double score = 0;
  if (settings_.use_program) score += learned_.program.LogOf(before.state, next);
  if (next == kReply && !settings_.use_end) return score;
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
    score += StepScore(handler, end, kReply, false, handler.reply);
  }
  handler.timelines.push_back({score, from.calls, from.by_token});
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

void TimelineSearch::Try(const Handler& handler, const Partial& from, const Progress& at, CallIndex::Calls calls,
                         uint64_t from_ns, uint64_t until_ns, std::vector<Partial>& next) {
  const bool told = settings_.use_order && calls.size() > kNeighbours &&
                    std::any_of(calls.begin(), calls.end(), [&](const Call* call) { return call->proposed == &handler && Trusted(*call); });
  for (size_t i = 0; i < calls.size(); ++i) {
    Call* const call = calls[i];
    if (call->sent.ns < from_ns || call->sent.ns > until_ns || !Mine(handler, *call)) continue;
    if (call->sent.tid == not_of_thread_ && call->sent.turn == not_in_turn_) continue;  // has been looked at
    if (told && !Near(handler, calls, i)) continue;
    if (std::find(from.calls.begin(), from.calls.end(), call) != from.calls.end()) continue;
    if (++steps_ > settings_.max_steps) return;
    double step = StepScore(handler, at, call->label, call->dequeued, call->sent);
    const double token = settings_.use_tokens ? TokenOdds(learned_, handler, *call) : 0;
    step += token + ProposalOdds(learned_, handler, *call);
    if (step < kLeastStep) continue;
    Partial& more = next.emplace_back(Partial{from.score + step, from.by_token || token > 2, at, from.calls});
    more.progress.Send(*call);
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
  uint64_t begin = from.calls.empty() ? handler.begin.ns : from.calls.back()->sent.ns;
  while (begin <= end) {
    uint64_t until = end;
    for (const Call* call : at.outstanding) until = std::min(until, call->answer.ns);
    if (const Program::NextLabels* const labels = learned_.program.NextOf(at.state)) {
      for (const auto& [label, seen] : *labels) {
        if (label == kReply) continue;
        const Odds::Reach reach = learned_.odds.ReachOf(at.Next(label, false));
        waits_ |= !learned_.odds.Immediate(at.Next(label, false));
        if (reach.hop != kAnyHop) {
          Try(handler, from, at, calls.InTurn(label, at.at.tid, at.at.turn + reach.hop), begin, until, next);
          not_in_turn_ = at.at.turn + reach.hop, not_of_thread_ = at.at.tid;
          Try(handler, from, at, calls.Dequeued(label, begin, until), begin, until, next);
          not_of_thread_ = 0;
        } else {
          const uint64_t last = reach.ns > until - at.at.ns ? until : at.at.ns + reach.ns;
          Try(handler, from, at, calls.Between(label, begin, last), begin, until, next);
          if (last < until) Try(handler, from, at, calls.Dequeued(label, last + 1, until), begin, until, next);
        }
      }
    }
    if (at.outstanding.empty()) return;
    begin = until + 1;
    at.ReadUntil(until);
  }
}

double TimelineSearch::Score(const Handler& handler, const absl::Span<Call* const>& calls) const {
  Progress at(handler);
  double score = 0;
  for (Call* call : calls) {
    at.ReadUntil(call->sent.ns);
    const double step = StepScore(handler, at, call->label, call->dequeued, call->sent);
    if (getenv("DBG2")) { if (auto* n = learned_.program.NextOf(at.state)) for (auto& [l, s] : *n) fprintf(stderr, " <%d %.1f>", l, s); auto cx = at.Next(call->label, call->dequeued); auto s = See(at.at, call->sent, handler.begin.tid, learned_.odds.HopOf(cx)); fprintf(stderr, " {%d q%d step %.1f prog %.1f near %d gap %d hop %d/%d reach %d mine %d seen %.0f imm %d turn %d prop %.1f}", call->label, call->dequeued, step, learned_.program.LogOf(at.state, call->label), s.nearness, s.gap, s.hop, learned_.odds.HopOf(cx), learned_.odds.ReachOf(cx).hop, Mine(handler, *call), learned_.odds.Seen(cx), learned_.odds.Immediate(cx), (int)(call->sent.turn - at.at.turn), ProposalOdds(learned_, handler, *call)); }
    score += step;
    at.Send(*call);
  }
  at.ReadUntil(handler.reply.ns);
  const double step = StepScore(handler, at, kReply, false, handler.reply);
  if (getenv("DBG2")) { auto cx = at.Next(kReply, false); auto s = See(at.at, handler.reply, handler.begin.tid, learned_.odds.HopOf(cx)); fprintf(stderr, " {end step %.1f prog %.1f near %d gap %d hop %d/%d seen %.0f}\n", step, learned_.program.LogOf(at.state, kReply), s.nearness, s.gap, s.hop, learned_.odds.HopOf(cx), learned_.odds.Seen(cx)); }
  return score + step;
}

void TimelineSearch::Run(Handler& handler, const CallIndex& calls, bool waiting) {
  handler.tried = true;
  handler.timelines.clear();
  steps_ = 0;
  waits_ = false;
  std::vector<Partial> level, next;
  level.push_back({0, false, Progress(handler), {}});
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
    if (next.size() > settings_.max_hypotheses) next.erase(next.begin() + settings_.max_hypotheses, next.end());
    std::swap(level, next);
  }
  handler.searched = true;
  handler.cut = steps_ > settings_.max_steps;
  counters_.cut_short += steps_ > settings_.max_steps;
  auto& found = handler.timelines;
  std::stable_sort(found.begin(), found.end(), [](const Timeline& a, const Timeline& b) { return a.score > b.score; });
  if (found.size() > settings_.max_hypotheses) found.resize(settings_.max_hypotheses);
  while (!found.empty() && found.back().score < found.front().score - kWorthwhile) found.pop_back();
  counters_.timelines += found.size();
}

}  // namespace spantap
