// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/process_causes.h"

#include <algorithm>
#include <utility>

#include "agent/cause/learning.h"

namespace spantap {
namespace {

// Seldom enough that a round has something to decide, and sees what came after it: five times as often decides less
// (measured). Where many calls wait for one, or most is open, what is found helps the next round; where queues are
// computed anew, rounds cost most.
constexpr uint64_t kRoundNs = 100'000'000;
constexpr uint64_t kFullRoundNs = 60'000'000;
constexpr uint64_t kStrainedRoundNs = 40'000'000;
constexpr uint64_t kWaitingRoundNs = 150'000'000;
constexpr size_t kFull = 200;             // calls
constexpr uint64_t kReuseNs = 1'000'000;  // a connection that became free this short before was waited for
constexpr uint32_t kReuseTurns = 6;
constexpr size_t kMaxRoutes = 128;
constexpr uint64_t kRouteIdleNs = 10'000'000'000;
constexpr size_t kMaxAnswered = 8192;
constexpr size_t kKept = 64;   // handlers that stay as strangers
constexpr double kStrong = 6;  // nats
constexpr double kLearnable = 0.99;
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
    : tgid_(tgid),
      settings_(settings),
      counters_(counters),
      output_(output),
      learned_(settings),
      simulation_(settings, learned_, open_),
      queues_(settings, learned_, pools_, simulation_) {}

Label ProcessCauses::LabelOf(uint64_t call) {
  const auto it = labels_.find(call);
  if (it != labels_.end()) return it->second;
  if (labels_.size() + 1 >= kMaxLabels) return kMaxLabels - 1;
  const auto label = static_cast<Label>(labels_.size());
  labels_[call] = label;
  return label;
}

uint16_t ProcessCauses::RouteOf(uint64_t route) {
  auto it = routes_.find(route);
  if (it == routes_.end()) {
    auto number = static_cast<uint16_t>(routes_.size());
    if (routes_.size() >= kMaxRoutes) {
      const auto oldest = std::min_element(routes_.begin(), routes_.end(), [](const auto& a, const auto& b) {
        return a.second.used_ns != b.second.used_ns ? a.second.used_ns < b.second.used_ns : a.first < b.first;
      });
      if (oldest->second.used_ns + kRouteIdleNs > now_ns_) return kMaxRoutes;
      number = oldest->second.number;
      learned_.ForgetRoute(number);
      routes_.erase(oldest);
      ++counters_.forgotten;
    }
    it = routes_.try_emplace(route, Route{number, 0}).first;
    Recall(route, number);
  }
  it->second.used_ns = now_ns_;
  return it->second.number;
}

void ProcessCauses::OnIncoming(IncomingRequest request) {
  now_ns_ = std::max(now_ns_, request.at.ns);
  if (handlers_.contains(request.id) || calls_.contains(request.id)) return;
  if (handlers_.size() >= settings_.max_incoming) {
    // What it sends looks like somebody else's.
    learned_.strain.AddOpen(true);
    ++counters_.overflow;
    output_.released.push_back(request.id);
    return;
  }
  used_ns_ = now_ns_;
  auto handler = std::make_unique<Handler>();
  handler->id = request.id;
  handler->route = RouteOf(request.route);
  handler->begin = request.at;
  handler->tokens = std::move(request.tokens);
  handler->alone = open_.empty() && streaming_ == 0;
  learned_.token_counts.Add(handler->tokens);
  for (Handler* other : open_) other->alone = false;
  open_.push_back(handler.get());
  simulation_.OnIncoming(*handler);
  handlers_[request.id] = std::move(handler);
}

void ProcessCauses::OnOutgoing(OutgoingRequest request) {
  now_ns_ = std::max(now_ns_, request.at.ns);
  if (handlers_.contains(request.id) || calls_.contains(request.id)) return;
  if (calls_.size() >= settings_.max_outgoing) {
    ++counters_.decided, ++counters_.overflow;
    output_.decisions.push_back({tgid_, request.id, 0, 0, CauseRule::kJoint, "too_many_calls"});
    return;
  }
  used_ns_ = now_ns_;
  auto call = std::make_unique<Call>();
  call->id = request.id;
  call->label = LabelOf(request.call);
  call->sent = request.at;
  call->dialled = request.dialled;
  call->connection = request.connection;
  call->open = static_cast<uint32_t>(open_.size());
  call->tokens = std::move(request.tokens);
  const auto freed = answered_.find(request.connection);
  call->reuses = freed != answered_.end() && Dequeued(freed->second, call->sent);
  pools_.OnSent(*call, request.destination);
  call->dequeued = call->reuses && (learned_.waits || pools_.MayWait(call->pool));
  if (const Moment* const free = pools_.FreedOf(call->pool); learned_.waits && free != nullptr) {
    call->dequeued |= Dequeued(*free, call->sent);  // the client may have taken another one
  }
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
    pools_.OnAnswered(*it->second);
    simulation_.OnAnswer(*it->second);
    if (answered_.size() >= kMaxAnswered) answered_.clear();
    answered_[it->second->connection] = at;
    return;
  }
  const auto it = handlers_.find(id);
  if (it == handlers_.end() || it->second->over) return;
  it->second->replied = true;
  it->second->reply = at;
  ++streaming_;
  Over(*it->second, at.ns);
}

void ProcessCauses::OnOver(uint64_t id, uint64_t ns) {
  now_ns_ = std::max(now_ns_, ns);
  if (const auto it = calls_.find(id); it != calls_.end()) {
    Call& call = *it->second;
    if (call.answered) return;
    call.answered = true;
    call.answer.ns = ns;
    pools_.OnAnswered(call);
    simulation_.OnAnswer(call);
    return;
  }
  const auto it = handlers_.find(id);
  if (it == handlers_.end()) return;
  if (it->second->replied && !std::exchange(it->second->finished, true)) --streaming_;
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
  if (call.sent.ns < handler.begin.ns) {  // its connection was dialled before: no part of a timeline
    call.nobodys = true;
    return;
  }
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

void ProcessCauses::End() {
  Flush();
  for (Handler* handler : open_) Release(*handler);
  for (Handler* handler : closed_) Release(*handler);
}

void ProcessCauses::Release(Handler& handler) {
  if (std::exchange(handler.released, true)) return;
  output_.released.push_back(handler.id);
}

uint64_t ProcessCauses::Period() const {
  if (learned_.waits) return kWaitingRoundNs;
  if (learned_.Strained()) return kStrainedRoundNs;
  return undecided_ < kFull ? kRoundNs : kFullRoundNs;
}

void ProcessCauses::MaybeRound() {
  if (idle()) return;
  if (now_ns_ < round_ns_ + Period()) return;
  round_ns_ = now_ns_;
  Round(false);
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
    if (call->likely != nullptr) handler.reserved.push_back(call);
  }
}

// Handlers that are over get their timelines, those that go straight on first. Returns until when calls can be decided:
// one that waits is searched when all that were open with it are over.
uint64_t ProcessCauses::Search(TimelineSearch& search, uint64_t frontier) {
  for (Handler* handler : closed_) {
    if (handler->resolved || handler->tried) continue;
    if (handler->begin.ns < trimmed_ns_) {  // some of its calls are gone
      handler->tried = handler->searched = true;
      continue;
    }
    search.Run(*handler, index_, false);
    if (handler->searched) Reserve(*handler);
  }
  uint64_t searched = frontier;
  for (Handler* handler : closed_) {
    if (handler->resolved || handler->searched) continue;
    if (handler->end_ns < frontier || handler->begin.ns + settings_.limit_ns <= now_ns_) {
      search.Run(*handler, index_, true);
    } else {
      searched = std::min(searched, handler->begin.ns);
    }
  }
  return searched;
}

void ProcessCauses::Round(bool all) {
  learned_.waits = settings_.use_order && pools_.AnyWaits();
  if (learned_.waits) queues_.Run(closed_, open_, index_, decided_ns_);
  TimelineSearch search(settings_, learned_, counters_);
  const uint64_t frontier = Search(search, Frontier(all));
  std::vector<Handler*> active;
  for (Handler* handler : closed_) {
    if (!handler->resolved && handler->searched) active.push_back(handler);
  }
  std::sort(active.begin(), active.end(), [](const Handler* a, const Handler* b) { return a->id < b->id; });
  DecisionRound round(settings_, learned_, search, index_, active);
  round.Solve(frontier);
  DecideDue(round, frontier);
  decided_ns_ = std::max(decided_ns_, std::min(frontier, now_ns_));
  for (Handler* handler : active) {
    if (handler->end_ns < frontier) Resolve(*handler);
  }
  Trim(frontier);
}

void ProcessCauses::DecideDue(const DecisionRound& round, uint64_t frontier) {
  std::vector<Call*> due;
  for (auto& [id, call] : calls_) {
    if (!call->decided && call->sent.ns < frontier) due.push_back(call.get());
  }
  std::sort(due.begin(), due.end(), SentBefore);
  for (Call* call : due) Decide(*call, round.Of(*call, open_));
}

void ProcessCauses::Decide(Call& call, const DecisionRound::Finding& found) {
  call.decided = true;
  --undecided_;
  ++counters_.decided;
  Handler* const handler = found.handler;
  output_.decisions.push_back({tgid_, call.id, handler == nullptr ? 0 : handler->id, found.said.confidence,
                               found.said.rule, found.said.reason});
  if (handler != nullptr && call.proposed != nullptr) {
    const bool same = call.proposed == handler;
    if (call.proposal == Proposal::kDue) learned_.strain.disagreed.Add(!same);
    learned_.proposals[static_cast<size_t>(call.proposal)].Add(same);
  }
  if (handler != nullptr && !call.shares.empty() && call.shares[0].second > kSure) {
    learned_.queues_disagreed.Add(call.shares[0].first != handler->id);
  }
  learned_.strain.nobodys.Add(handler == nullptr);
  learned_.strain.unsimulated.Add(call.proposed == nullptr);
  learned_.strain.waited.Add(call.proposed != nullptr && call.proposal == Proposal::kQueue);
  if (handler != nullptr && !found.by_token) learned_.strain.refused.Add(!found.said.stands);
  if (handler != nullptr) learned_.strain.AddOpen(handler->route, call.label, found.joint < kSure);
  if (handler == nullptr || found.said.confidence <= kSure) return;
  Give(call, *handler);
  simulation_.OnKnown(call, handler);
}

// A handler that was alone made all calls that were sent while it was open.
void ProcessCauses::TakeAll(Handler& handler) const {
  Timeline all;
  for (size_t label = 0; label < index_.labels(); ++label) {
    for (Call* call : index_.Between(static_cast<Label>(label), handler.begin.ns, handler.reply.ns)) {
      if (!call->nobodys) all.calls.push_back(call);
    }
  }
  std::sort(all.calls.begin(), all.calls.end(), SentBefore);
  handler.best = std::move(all);
  handler.best_probability = 1;
}

void ProcessCauses::Resolve(Handler& handler) {
  handler.resolved = true;
  ++resolved_;
  handler.timelines = {};
  Release(handler);
  if (!handler.replied || handler.begin.ns < trimmed_ns_) return;
  if (handler.ended != 0) {
    learned_.ends.Add(std::any_of(handler.proposed.begin(), handler.proposed.end(),
                                  [&](const Call* call) { return call->id == handler.ended; }));
  }
  if (handler.alone) {
    TakeAll(handler);
    LearnTimeline(learned_, handler, handler.best, 1, 1);
    return;
  }
  const double sure = handler.best_probability;
  if (!handler.best.calls.empty() || sure > kSure) {
    LearnTimeline(learned_, handler, handler.best, sure > kLearnable ? kBusyWeight : 0, sure);
  }
  LearnStrangers(learned_, handler, closed_, draws_);
}

// The oldest handlers that are decided, but for some that serve as strangers.
void ProcessCauses::DropHandlers() {
  while (closed_.size() > kKept && closed_.front()->resolved) {
    Handler* const handler = closed_.front();
    closed_.pop_front();
    --resolved_;
    if (handler->replied && !handler->finished) --streaming_;
    for (Call* call : handler->own) call->owner = nullptr, call->nobodys = true;
    for (Call* call : handler->proposed) call->proposed = nullptr;
    for (Call* call : handler->reserved) {
      if (call->likely == handler) call->likely = nullptr, call->nobodys |= call->decided;
    }
    simulation_.Forget(*handler);
    handlers_.erase(handler->id);
  }
}

void ProcessCauses::DropCall(Call& call) {
  simulation_.Forget(call);
  if (!call.answered) pools_.OnGone(call);
  if (call.owner != nullptr) std::erase(call.owner->own, &call);
  if (call.likely != nullptr) std::erase(call.likely->reserved, &call);
}

// Calls that no handler can have made any more. One that stays open for very long is not waited for: it will have none.
void ProcessCauses::Trim(uint64_t frontier) {
  DropHandlers();
  uint64_t oldest = frontier;
  const auto recent = [&](const Handler* handler) { return handler->begin.ns + settings_.limit_ns > now_ns_; };
  for (const Handler* handler : open_) {
    if (recent(handler)) oldest = std::min(oldest, handler->begin.ns);
  }
  for (Handler* handler : closed_) {
    if (!handler->resolved || recent(handler)) {
      oldest = std::min(oldest, handler->begin.ns);
    } else {
      handler->best.calls.clear();
    }
  }
  if (undecided_ > 0) {
    for (const auto& [id, call] : calls_) {
      if (!call->decided) oldest = std::min(oldest, call->sent.ns);
    }
  }
  if (oldest <= trimmed_ns_) return;
  trimmed_ns_ = oldest;
  index_.Trim(oldest);
  absl::erase_if(calls_, [&](const auto& entry) {
    const bool gone = entry.second->sent.ns < oldest;
    if (gone) DropCall(*entry.second);
    return gone;
  });
}

}  // namespace spantap
