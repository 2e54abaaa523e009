// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/process_causes.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace spantap {
namespace {

constexpr uint64_t kRoundNs = 20'000'000;
constexpr uint64_t kReuseNs = 1'000'000;  // a connection that became free this short before was waited for
constexpr uint32_t kReuseTurns = 6;
constexpr size_t kMaxRoutes = 128;
constexpr size_t kMaxAnswered = 8192;
constexpr size_t kKept = 64;  // handlers that stay as strangers
constexpr int kDraws = 3;
constexpr double kLogNobody = -7;
constexpr double kLogUnknown = -3;  // of a handler having done something that no timeline shows
constexpr double kSure = 0.9;
constexpr double kOutOfReach = 9;  // nats behind a handler's best timeline
constexpr double kStrong = 6;  // nats
constexpr double kBusyWeight = 0.02;

// Whether the call went out because its connection had just become free.
bool Dequeued(const Moment& freed, const Moment& sent) {
  if (freed.tid != sent.tid) return sent.ns < freed.ns + kReuseNs;
  if (!freed.counted || !sent.counted || freed.burst != sent.burst) return false;
  return (freed.turn == sent.turn && freed.reads == sent.reads) ||
         (sent.turn != freed.turn && sent.turn - freed.turn <= kReuseTurns);
}

}  // namespace

ProcessCauses::ProcessCauses(uint32_t tgid, const CauseSettings& settings, CauseCounters& counters, CauseOutput& output)
    : tgid_(tgid), settings_(settings), counters_(counters), output_(output), learned_(settings), simulation_(settings, learned_, open_) {}

Label ProcessCauses::LabelOf(uint64_t call) {
  const auto it = labels_.find(call);
  if (it != labels_.end()) return it->second;
  if (labels_.size() + 1 >= kMaxLabels) return kMaxLabels - 1;
  const auto label = static_cast<Label>(labels_.size());
  labels_[call] = label;
  return label;
}

uint16_t ProcessCauses::RouteOf(uint64_t route) {
  const auto it = routes_.find(route);
  if (it != routes_.end()) return it->second;
  if (routes_.size() >= kMaxRoutes) return kMaxRoutes;
  const auto number = static_cast<uint16_t>(routes_.size());
  routes_[route] = number;
  return number;
}

void ProcessCauses::OnIncoming(IncomingRequest request) {
  now_ns_ = std::max(now_ns_, request.at.ns);
  if (handlers_.size() >= settings_.max_incoming) {
    output_.released.push_back(request.id);
    return;
  }
  auto handler = std::make_unique<Handler>();
  handler->id = request.id;
  handler->route = RouteOf(request.route);
  handler->begin = request.at;
  handler->tokens = std::move(request.tokens);
  handler->alone = open_.empty();
  learned_.token_counts.Add(handler->tokens);
  for (Handler* other : open_) other->alone = false;
  open_.push_back(handler.get());
  simulation_.OnIncoming(*handler);
  handlers_[request.id] = std::move(handler);
}

void ProcessCauses::OnOutgoing(OutgoingRequest request) {
  now_ns_ = std::max(now_ns_, request.at.ns);
  if (calls_.size() >= settings_.max_outgoing) {
    ++counters_.decided, ++counters_.overflow;
    output_.decisions.push_back({tgid_, request.id, 0, 0, CauseRule::kJoint, 0, -1, 0, 0, 0, 0, "too_many_calls"});
    return;
  }
  auto call = std::make_unique<Call>();
  call->id = request.id;
  call->label = LabelOf(request.call);
  call->sent = request.at;
  call->connection = request.connection;
  call->destination = request.destination;
  call->tokens = std::move(request.tokens);
  const auto freed = answered_.find(request.connection);
  call->dequeued = freed != answered_.end() && Dequeued(freed->second, call->sent);
  index_.Add(*call);
  simulation_.OnOutgoing(*call);
  ++undecided_;
  calls_[request.id] = std::move(call);
}

void ProcessCauses::OnResponse(uint64_t id, const Moment& at) {
  now_ns_ = std::max(now_ns_, at.ns);
  if (const auto it = calls_.find(id); it != calls_.end()) {
    it->second->answered = true;
    it->second->answer = at;
    simulation_.OnAnswer(*it->second);
    if (answered_.size() >= kMaxAnswered) answered_.clear();
    answered_[it->second->connection] = at;
    return;
  }
  const auto it = handlers_.find(id);
  if (it == handlers_.end() || it->second->over) return;
  it->second->replied = true;
  it->second->reply = at;
  Over(*it->second, at.ns);
}

void ProcessCauses::OnOver(uint64_t id, uint64_t ns) {
  now_ns_ = std::max(now_ns_, ns);
  if (const auto it = calls_.find(id); it != calls_.end()) {
    Call& call = *it->second;
    call.over = true;
    if (call.answered) return;
    call.answered = true;
    call.answer.ns = ns;
    simulation_.OnAnswer(call);
    return;
  }
  const auto it = handlers_.find(id);
  if (it == handlers_.end()) return;
  if (!it->second->over) simulation_.Forget(*it->second);
  Over(*it->second, ns);
}

void ProcessCauses::Over(Handler& handler, uint64_t ns) {
  if (handler.over) return;
  handler.over = true;
  handler.end_ns = ns;
  if (handler.replied) simulation_.OnReply(handler);
  open_.erase(std::find(open_.begin(), open_.end(), &handler));
  closed_.push_back(&handler);
  MaybeRound();
}

void ProcessCauses::OnKnown(uint64_t outgoing, uint64_t incoming) {
  const auto it = calls_.find(outgoing);
  if (it == calls_.end() || it->second->decided) return;
  Call& call = *it->second;
  call.decided = true;
  --undecided_;
  const auto handler = handlers_.find(incoming);
  simulation_.OnKnown(call, handler == handlers_.end() ? nullptr : handler->second.get());
  if (handler == handlers_.end()) {
    call.nobodys = true;
  } else {
    Give(call, *handler->second);
  }
}

void ProcessCauses::Give(Call& call, Handler& handler) {
  call.owner = &handler;
  handler.own.insert(std::upper_bound(handler.own.begin(), handler.own.end(), &call, SentBefore), &call);
}

uint64_t ProcessCauses::Frontier(bool all) const {
  if (all) return UINT64_MAX;
  uint64_t frontier = now_ns_ + 1;
  for (const Handler* handler : open_) {
    if (handler->begin.ns + settings_.limit_ns > now_ns_) frontier = std::min(frontier, handler->begin.ns);
  }
  return frontier;
}

void ProcessCauses::OnTime(uint64_t ns) {
  now_ns_ = std::max(now_ns_, ns);
  MaybeRound();
}

void ProcessCauses::Flush() { Round(true); }

void ProcessCauses::MaybeRound() {
  if (now_ns_ < round_ns_ + kRoundNs) return;
  round_ns_ = now_ns_;
  Round(false);
}

void ProcessCauses::Round(bool all) {
  uint64_t frontier = Frontier(all);
  std::vector<Handler*> active;
  TimelineSearch search(settings_, learned_, counters_);
  for (Handler* handler : closed_) {
    if (handler->resolved || handler->tried) continue;
    search.Run(*handler, index_, false);
    if (handler->searched) Reserve(*handler);
  }
  uint64_t searched = frontier;
  for (Handler* handler : closed_) {
    if (handler->resolved) continue;
    if (!handler->searched && handler->end_ns < frontier) search.Run(*handler, index_, true);
    if (handler->searched) {
      active.push_back(handler);
    } else {
      searched = std::min(searched, handler->begin.ns);
    }
  }
  frontier = searched;
  if (getenv("DBG") && now_ns_ > strtoull(getenv("DBG"), nullptr, 10)) {
    static int shown = 0;
    for (Handler* h : active) {
      if (h->end_ns < frontier && shown++ < 4000000) {
        fprintf(stderr, "H %lu route %d alone %d waits %d begin %.2f dur %.2f ms timelines %zu known %.0f:", h->id, h->route, h->alone, h->waits, h->begin.ns / 1e6, (h->end_ns - h->begin.ns) / 1e6, h->timelines.size(), learned_.program.Known(h->route));
        for (size_t i = 0; i < h->timelines.size() && i < 12; ++i) {
          fprintf(stderr, " [%.1f", h->timelines[i].score);
          for (Call* c : h->timelines[i].calls) fprintf(stderr, " %d:%lu%s", c->label, c->id, c->proposed == h ? "*" : "");
          fprintf(stderr, "]");
        }
        fprintf(stderr, " sim");
        for (Call* c : h->proposed) fprintf(stderr, " %d:%lu%s", c->label, c->id, c->likely ? c->likely == h ? "=" : "x" : "");
        fprintf(stderr, "\n   ");
        search.Score(*h, h->proposed);
      }
    }
  }
  std::sort(active.begin(), active.end(), [](const Handler* a, const Handler* b) { return a->id < b->id; });
  Solve(active, frontier, all);
  for (Handler* handler : active) {
    if (handler->end_ns < frontier) Resolve(*handler);
  }
  Trim(frontier);
}

// Calls that only a handler which went straight on explains well.
void ProcessCauses::Reserve(Handler& handler) {
  if (handler.timelines.empty() || handler.timelines[0].score < kStrong) return;
  const Timeline& best = handler.timelines[0];
  for (Call* call : best.calls) {
    double without = kLogUnknown;
    for (const Timeline& other : handler.timelines) {
      if (std::find(other.calls.begin(), other.calls.end(), call) == other.calls.end()) {
        without = std::max(without, other.score);
        break;
      }
    }
    if (best.score < without + kStrong) continue;
    call->contested |= call->likely != nullptr;
    call->likely = call->contested ? nullptr : &handler;
  }
}

void ProcessCauses::Solve(const std::vector<Handler*>& active, uint64_t frontier, bool all) {
  Assignment assignment;
  std::vector<Call*> wanted;
  std::deque<std::vector<uint32_t>> lists;
  std::vector<std::vector<const Timeline*>> choices(active.size());
  for (auto& [id, call] : calls_) call->number = UINT32_MAX;
  for (size_t i = 0; i < active.size(); ++i) {
    Handler& handler = *active[i];
    std::vector<Choice> some;
    for (const Timeline& timeline : handler.timelines) {
      const bool possible = std::all_of(timeline.calls.begin(), timeline.calls.end(), [&](const Call* call) {
        return !call->nobodys && (call->owner == nullptr || call->owner == &handler) &&
               (call->likely == nullptr || call->likely == &handler);
      });
      const auto owned = std::count_if(timeline.calls.begin(), timeline.calls.end(),
                                       [&](const Call* call) { return call->owner == &handler; });
      if (!some.empty() && timeline.score < some.front().log_weight - kOutOfReach) break;
      if (!possible || static_cast<size_t>(owned) < handler.own.size()) continue;
      std::vector<uint32_t> numbers;
      for (Call* call : timeline.calls) {
        if (call->owner != nullptr) continue;
        if (call->number == UINT32_MAX) {
          call->number = static_cast<uint32_t>(wanted.size());
          wanted.push_back(call);
        }
        numbers.push_back(call->number);
      }
      lists.push_back(std::move(numbers));
      some.push_back({timeline.score, lists.back()});
      choices[i].push_back(&timeline);
    }
    some.push_back({kLogUnknown, {}});
    choices[i].push_back(nullptr);
    assignment.AddChooser(std::move(some));
  }
  assignment.Solve(static_cast<uint32_t>(wanted.size()), kLogNobody);
  for (uint32_t i = 0; i < active.size(); ++i) {
    double most = 0;
    Timeline best;
    for (uint32_t k = 0; k < choices[i].size(); ++k) {
      const double p = assignment.OfChoice(i, k);
      if (p <= most) continue;
      most = p;
      best = choices[i][k] == nullptr ? Timeline{} : *choices[i][k];
    }
    active[i]->best = std::move(best);
    active[i]->best.score = most;
  }
  std::vector<Call*> due;
  for (auto& [id, call] : calls_) {
    if (!call->decided && (call->sent.ns < frontier || all)) due.push_back(call.get());
  }
  std::sort(due.begin(), due.end(), SentBefore);
  for (Call* call : due) {
    Handler* best = nullptr;
    double most = 0;
    if (call->number != UINT32_MAX) {
      int n = 0; bool cut = false, crowd = false; double second = 0;
      for (const auto& claim : assignment.ClaimsOf(call->number)) {
        ++n; cut |= active[claim.chooser]->cut; crowd |= assignment.Crowded(claim.chooser);
        if (claim.probability > most) second = most, most = claim.probability, best = active[claim.chooser]; else second = std::max(second, claim.probability);
      }
      double r = 0, worst = 1e9;
      if (best != nullptr) { Progress at(*best); TimelineSearch s(settings_, learned_, counters_); bool in = false;
        for (Call* c : best->best.calls) { at.ReadUntil(c->sent.ns); double st = s.StepScore(*best, at, c->label, c->dequeued, c->sent); if (c == call) r = st, in = true; worst = std::min(worst, st); at.Send(*c); }
        at.ReadUntil(best->reply.ns); worst = std::min(worst, s.StepScore(*best, at, kReply, false, best->reply)); if (!in) r = -99; }
      dbgf_ = (best && best->waits) | (best && best->cut) << 1 | cut << 2 | (best && best->best.by_token) << 3 | (call->likely == best) << 4 | crowd << 5 | std::min(n, 15) << 8; { uint32_t who = 0; while (who < active.size() && active[who] != best) ++who; dbgl_ = best && call->number != UINT32_MAX ? assignment.Local(who, call->number) : 0; } dbgr_ = r; dbgw_ = worst; dbgm_ = best ? best->best.score : 0;
    }
    Decide(*call, best, most, CauseRule::kJoint, best == nullptr ? "no_candidate" : most > kSure ? "" : "ambiguous");
  }
}

void ProcessCauses::Decide(Call& call, Handler* best, double confidence, CauseRule rule, absl::string_view reason) {
  call.decided = true;
  --undecided_;
  ++counters_.decided;
  output_.decisions.push_back({tgid_, call.id, best == nullptr ? 0 : best->id, confidence, rule, call.proposed?call.proposed->id:0, call.proposed?(int)call.proposal:-1, dbgf_, dbgr_, dbgw_, dbgl_, reason});
  if (best == nullptr || confidence <= kSure) return;
  Give(call, *best);
  if (call.proposed != nullptr) learned_.proposals[static_cast<size_t>(call.proposal)].Add(call.proposed == best);
  simulation_.OnKnown(call, best);
}

void ProcessCauses::Resolve(Handler& handler) {
  handler.resolved = true;
  output_.released.push_back(handler.id);
  if (!handler.replied) return;
  if (handler.alone) {
    Timeline whole;
    for (size_t label = 0; label < index_.labels(); ++label) {
      for (Call* call : index_.Between(static_cast<Label>(label), handler.begin.ns, handler.reply.ns)) {
        if (!call->nobodys) whole.calls.push_back(call);
      }
    }
    std::sort(whole.calls.begin(), whole.calls.end(), SentBefore);
    whole.score = 1;
    handler.best = std::move(whole);
    Learn(handler, handler.best, 1, 1);
    return;
  }
  if (!handler.best.calls.empty() || handler.best.score > kSure) {
    Learn(handler, handler.best, handler.best.score > kSure ? kBusyWeight : 0, handler.best.score);
  }
  for (const Call* call : handler.best.calls) LearnStrangers(handler, *call);
  LearnStrangerEnds(handler);
}

void ProcessCauses::Learn(const Handler& handler, const Timeline& timeline, double lasting, double present) {
  Progress progress(handler);
  const auto step = [&](Label next, bool dequeued, const Moment& to) {
    progress.ReadUntil(to.ns);
    const StepContext context = progress.Next(next, dequeued);
    learned_.odds.LearnTrue(context, See(progress.at, to, handler.begin.tid, learned_.odds.HopOf(context)), lasting,
                            present);
    learned_.program.Learn(progress.state, next, lasting);
  };
  for (Call* call : timeline.calls) {
    step(call->label, call->dequeued, call->sent);
    progress.Send(*call);
    if (call->tokens.empty()) continue;
    auto& use = learned_.token_use[static_cast<uint32_t>(handler.route) << 8 | call->label];
    use.with += static_cast<float>(lasting);
    const bool same = std::any_of(call->tokens.begin(), call->tokens.end(), [&](uint64_t token) {
      return std::binary_search(handler.tokens.begin(), handler.tokens.end(), token);
    });
    if (same) use.same += static_cast<float>(lasting);
  }
  step(kReply, false, handler.reply);
}

void ProcessCauses::LearnStrangers(const Handler& handler, const Call& call) {
  if (closed_.empty()) return;
  for (int i = 0, found = 0; i < 4 * kDraws && found < kDraws; ++i) {
    const Handler& other = *closed_[++draws_ * 7919 % closed_.size()];
    if (&other == &handler || other.begin.ns >= call.sent.ns || other.end_ns <= call.sent.ns) continue;
    ++found;
    Progress progress(other);
    for (Call* own : other.best.calls) {
      if (own->sent.ns >= call.sent.ns || own == &call) break;
      progress.ReadUntil(own->sent.ns);
      progress.Send(*own);
    }
    progress.ReadUntil(call.sent.ns);
    const StepContext context = progress.Next(call.label, call.dequeued);
    learned_.odds.LearnStranger(context, See(progress.at, call.sent, other.begin.tid, learned_.odds.HopOf(context)));
  }
}

void ProcessCauses::LearnStrangerEnds(const Handler& handler) {
  for (int i = 0, found = 0; i < 4 * kDraws && found < kDraws; ++i) {
    const Handler& other = *closed_[++draws_ * 7919 % closed_.size()];
    if (&other == &handler || other.begin.ns >= handler.reply.ns || other.end_ns <= handler.reply.ns) continue;
    ++found;
    Progress progress(other);
    for (Call* own : other.best.calls) {
      if (own->sent.ns >= handler.reply.ns) break;
      progress.ReadUntil(own->sent.ns);
      progress.Send(*own);
    }
    progress.ReadUntil(handler.reply.ns);
    const StepContext context = progress.Next(kReply, false);
    learned_.odds.LearnStranger(context, See(progress.at, handler.reply, other.begin.tid, learned_.odds.HopOf(context)));
  }
}

void ProcessCauses::Trim(uint64_t frontier) {
  while (closed_.size() > kKept && closed_.front()->resolved) {
    Handler* const handler = closed_.front();
    closed_.pop_front();
    for (auto& [id, call] : calls_) {
      if (call->owner == handler) call->owner = nullptr, call->nobodys = true;
      if (call->proposed == handler) call->proposed = nullptr;
      if (call->likely == handler) call->likely = nullptr, call->nobodys |= call->decided;
    }
    simulation_.Forget(*handler);
    handlers_.erase(handler->id);
  }
  uint64_t oldest = frontier;
  for (const Handler* handler : closed_) oldest = std::min(oldest, handler->begin.ns);
  for (const Handler* handler : open_) oldest = std::min(oldest, handler->begin.ns);
  for (const auto& [id, call] : calls_) {
    if (!call->decided) oldest = std::min(oldest, call->sent.ns);
  }
  index_.Trim(oldest);
  absl::erase_if(calls_, [&](const auto& entry) {
    const bool gone = entry.second->sent.ns < oldest;
    if (gone) simulation_.Forget(*entry.second);
    return gone;
  });
}

}  // namespace spantap
