// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/pool_queues.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace spantap {
namespace {

constexpr int kMostSteps = 24;          // of a handler
constexpr size_t kStepsInAll = 50'000;  // 0.1 us each
constexpr size_t kMostPools = 8;        // in a round
constexpr float kPossible = 0.05f;      // share of what follows
constexpr float kExpected = 0.3f;
constexpr float kLeastNotMade = 0.01f;
constexpr uint64_t kFreedNs = 1'500'000;  // a connection that became free this short before may have been waited for
constexpr uint64_t kReachNs = 2'000'000;  // from an answer to what follows it at once
constexpr uint64_t kTurnsReachNs = 8'000'000;  // ... where the turn of the loop says that it does
constexpr double kExactTurn = 4;               // nats
constexpr double kLeastOdds = 1;
constexpr double kMostOdds = 8;
constexpr int kMostDepth = 3;     // answers that lead to a reply, one after the other
constexpr size_t kMostNear = 24;  // answers looked at for each
constexpr size_t kLooks = 200;    // for each handler, on the average
constexpr uint64_t kLongestNs = 128'000'000;
constexpr float kSureShare = 0.9f;
constexpr float kLikely = 0.5f;
constexpr double kNotOwner = 1e-5;

uint32_t FollowedKey(const Handler& handler, Label label) { return static_cast<uint32_t>(handler.route) << 8 | label; }

}  // namespace

// A handler on its way, as far as that is known.
struct PoolQueues::Walk {
  uint32_t who = 0;
  Progress at;
  absl::InlinedVector<Call*, 8> known;  // calls that it seems to have made, to come
  const Program::NextLabels* next = nullptr;
  float all = 0;          // of `next`
  bool imagined = false;  // some of its calls are not known
  int made = 0;
  // The first of `known` with that label, or its end.
  decltype(known)::iterator Known(Label label) {
    return std::find_if(known.begin(), known.end(), [label](const Call* call) { return call->label == label; });
  }
};

void PoolQueues::Run(const std::deque<Handler*>& closed, const std::vector<Handler*>& open, const CallIndex& calls,
                     uint64_t since_ns) {
  since_ns_ = since_ns;
  handlers_.clear();
  for (Handler* handler : closed) {
    if (!handler->resolved) handlers_.push_back(handler);
  }
  handlers_.insert(handlers_.end(), open.begin(), open.end());
  Collect(calls);
  looks_ = kLooks * handlers_.size();
  for (uint32_t who = 0; who < handlers_.size() && settings_.use_end; ++who) {
    if (handlers_[who]->replied) FindAnchors(who, handlers_[who]->reply, kReply, false, kMostOdds, 0);
  }
  for (auto& anchors : anchors_) {
    for (Anchor& anchor : anchors) anchor.ratio = std::exp(anchor.odds);
  }
  // What is called first is aligned first: the others' queues depend on it.
  state_.resize(pools_.size());
  std::vector<uint16_t> order;
  for (uint16_t pool = 0; pool < pools_.size(); ++pool) {
    if (pools_.Waits(pool)) order.push_back(pool);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](uint16_t a, uint16_t b) { return state_[a].depth < state_[b].depth; });
  if (order.size() > kMostPools) order.resize(kMostPools);
  steps_ = kStepsInAll;
  for (const uint16_t pool : order) Align(pool, calls);
  handlers_.clear(), answered_.clear(), anchors_.clear();
}

void PoolQueues::Collect(const CallIndex& calls) {
  answered_.clear();
  for (size_t label = 0; label < calls.labels(); ++label) {
    for (Call* call : calls.Between(static_cast<Label>(label), since_ns_, UINT64_MAX)) {
      call->number = kNoNumber;
      if (call->answered) answered_.push_back(call);
    }
  }
  std::sort(answered_.begin(), answered_.end(), [](const Call* a, const Call* b) {
    return a->answer.ns != b->answer.ns ? a->answer.ns < b->answer.ns : a->id < b->id;
  });
  for (uint32_t i = 0; i < answered_.size(); ++i) answered_[i]->number = i;
  anchors_.assign(answered_.size(), {});
}

// How much it looks as if what the handler did at `end` was done at once when that call was answered.
double PoolQueues::AnchorOdds(const Handler& handler, const Call& call, const Moment& end, const StepContext& context,
                              AtOnce& at_once) const {
  if (!at_once.known) at_once = {true, learned_.odds.Immediate(context), learned_.odds.HopOf(context)};
  if (!at_once.usual) return 0;
  const Sight sight = See(call.answer, end, handler.begin.tid, at_once.hop);
  if (at_once.hop != kAnyHop && call.answer.tid == end.tid) return sight.hop == at_once.hop ? kExactTurn : 0;
  return call.answer.ns + kReachNs < end.ns ? 0 : learned_.odds.Of(context, sight);
}

// Whose answers may have made the handler do what it did at `end`, what may have made it make these calls, and so on.
void PoolQueues::FindAnchors(uint32_t who, const Moment& end, Label next, bool dialled, double odds, int depth) {
  const Handler& handler = *handlers_[who];
  std::array<AtOnce, kMaxLabels> at_once = {};  // by the label of what was answered
  auto it = std::upper_bound(answered_.begin(), answered_.end(), end.ns,
                             [](uint64_t ns, const Call* call) { return ns < call->answer.ns; });
  for (size_t looks = 0; it != answered_.begin() && looks < kMostNear && looks_ > 0; ++looks, --looks_) {
    const Call& call = **--it;
    if (call.answer.ns + kTurnsReachNs < end.ns) break;
    if (call.sent.ns < handler.begin.ns || (call.owner != nullptr && call.owner != &handler)) continue;
    const StepContext context = {handler.route, Last::kAnswer, call.label, next, false, dialled};
    const double here = std::min(odds, AnchorOdds(handler, call, end, context, at_once[call.label]));
    if (here < kLeastOdds) continue;
    auto& mine = anchors_[call.number];
    const auto same = std::find_if(mine.begin(), mine.end(), [who](const Anchor& anchor) { return anchor.who == who; });
    if (same == mine.end()) {
      mine.push_back({who, static_cast<float>(here)});
    } else {
      same->odds = std::max(same->odds, static_cast<float>(here));
    }
    if (depth + 1 < kMostDepth) FindAnchors(who, call.sent, call.label, call.dialled, here, depth + 1);
  }
}

// It is made at once, or some time later.
void PoolQueues::Expect(const Walk& walk, Label label) {
  if (waiting_.size() + unsure_.size() >= kMaxExpected) return;
  const StepContext context = walk.at.Next(label);
  const Moment& from = walk.at.at;
  float reply = 0;
  for (const auto& [next, seen] : *walk.next) reply += next == kReply ? seen : 0;
  if (learned_.odds.Immediate(context)) {
    const uint8_t hop = learned_.odds.HopOf(context);
    const bool counted = from.counted && hop != kAnyHop;
    waiting_.push_back(
        {walk.who, label, from.ns, std::max(kLeastNotMade, reply / walk.all), counted ? from.tid : 0, from.turn + hop});
    return;
  }
  const auto* const gaps = learned_.odds.GapsOf(context);
  float all = 0, sum = 0;
  for (size_t i = 0; gaps != nullptr && i < kGaps; ++i) all += (*gaps)[i];
  if (all <= 0) return;
  QueueOrder::Unsure& entry = unsure_.emplace_back(QueueOrder::Unsure{walk.who, label, {}});
  uint64_t begin = 0;
  for (size_t i = 0; i < kGaps && sum < all; ++i) {
    const uint64_t end = i + 1 < kGaps ? GapLimitNs(i) : kLongestNs;
    if ((*gaps)[i] > 0 && entry.until.empty()) entry.until.push_back({from.ns + begin, 0});
    sum += (*gaps)[i];
    if (!entry.until.empty()) entry.until.push_back({from.ns + end, sum / all});
    begin = end;
  }
}

// What it calls next; kReply: nothing, before the next answer. What is known goes first, but for what is surely
// earlier.
Label PoolQueues::Choose(const Walk& walk) const {
  if (walk.next == nullptr) return kReply;
  const std::pair<Label, float>* best = nullptr;
  for (const auto& each : *walk.next) {
    if (each.first != kReply && (best == nullptr || each.second > best->second)) best = &each;
  }
  if (best == nullptr) return kReply;
  const bool expected = best->second >= kExpected * walk.all;
  for (const Call* call : walk.known) {
    for (const auto& [label, seen] : *walk.next) {
      if (label != call->label || seen <= kPossible * walk.all) continue;
      return !expected || seen > 0.5f * best->second ? label : best->first;
    }
  }
  return expected ? best->first : kReply;
}

// Whether it can be followed further.
bool PoolQueues::Step(Walk& walk, Label label) const {
  const bool immediate = learned_.odds.Immediate(walk.at.Next(label));
  const uint8_t hop = learned_.odds.HopOf(walk.at.Next(label));
  const auto found = walk.Known(label);
  ++walk.made;
  if (found == walk.known.end()) {
    if (!immediate) return false;
    if (hop != kAnyHop) walk.at.at.turn += hop;
    walk.at.Imagine(label);
    walk.imagined = true;
    return true;
  }
  Call& call = **found;
  walk.known.erase(found);
  if (immediate) {
    walk.at.Await(call, hop);
  } else {
    walk.at.ReadUntil(call.sent.ns);
    walk.at.Send(call);
  }
  return true;
}

// What the handler is to call at this destination.
void PoolQueues::Follow(uint32_t who, uint16_t pool) {
  const Handler& handler = *handlers_[who];
  Walk walk;
  walk.who = who;
  walk.at = Progress(handler);
  for (Call* call : handler.proposed) {
    if (walk.known.size() < kMostSteps) walk.known.push_back(call);
  }
  std::sort(walk.known.begin(), walk.known.end(), SentBefore);
  for (int step = 0; step < kMostSteps && steps_ > 0; ++step, --steps_) {
    if (walk.imagined) walk.at.state.outstanding = true;
    walk.next = learned_.program.NextOf(walk.at.state);
    walk.all = 0;
    for (size_t i = 0; walk.next != nullptr && i < walk.next->size(); ++i) walk.all += (*walk.next)[i].second;
    const Label label = Choose(walk);
    if (label == kReply) {
      if (!walk.at.ReadNext(UINT64_MAX - 1)) return;
      continue;
    }
    if (pools_.Of(label) == pool) {
      state_[pool].depth += (static_cast<float>(walk.made) - state_[pool].depth) / 64;
      const auto known = walk.Known(label);
      if (known == walk.known.end() || (*known)->sent.ns >= since_ns_) Expect(walk, label);
    }
    if (!Step(walk, label)) return;
  }
}

// In the order in which they were made: in a loop, that of the turns in which they are due.
void PoolQueues::Sort() {
  const bool loop = std::all_of(waiting_.begin(), waiting_.end(), [&](const QueueOrder::Waiting& entry) {
    return entry.tid != 0 && entry.tid == waiting_.front().tid;
  });
  std::stable_sort(waiting_.begin(), waiting_.end(),
                   [loop](const QueueOrder::Waiting& a, const QueueOrder::Waiting& b) {
                     if (loop && a.turn != b.turn) return static_cast<int32_t>(a.turn - b.turn) < 0;
                     return a.since_ns < b.since_ns;
                   });
  for (size_t i = 1; i < waiting_.size(); ++i) {
    waiting_[i].since_ns = std::max(waiting_[i].since_ns, waiting_[i - 1].since_ns);
  }
}

double PoolQueues::Fits(uint32_t who, const Call& call) const {
  const Handler& handler = *handlers_[who];
  if (call.sent.ns < handler.begin.ns) return 0;
  if (call.owner != nullptr) return call.owner == &handler ? 1 : kNotOwner;
  if (handler.over && handler.end_ns < call.sent.ns) return 0;
  if (handler.replied && (!call.answered || call.answer.ns > handler.reply.ns)) return 0;
  const double fits = settings_.use_tokens ? learned_.TokenRatio(handler, call) : 1;
  if (!handler.replied || !settings_.use_end || call.number >= anchors_.size()) return fits;
  const auto it = followed_.find(FollowedKey(handler, call.label));
  const double often = it == followed_.end() ? 0.5 : it->second.value();
  for (const Anchor& anchor : anchors_[call.number]) {
    if (anchor.who == who) return fits * often * anchor.ratio;
  }
  return fits * (1 - often);
}

std::vector<QueueOrder::Sent> PoolQueues::SentOf(uint16_t pool, const std::vector<Call*>& calls) const {
  std::vector<QueueOrder::Sent> sent;
  uint64_t freed = 0;
  size_t next = 0;
  for (const Call* call : calls) {
    for (; next < answered_.size() && answered_[next]->answer.ns <= call->sent.ns; ++next) {
      if (answered_[next]->pool == pool) freed = answered_[next]->answer.ns;
    }
    const bool at_once = !call->dequeued && !call->dialled && freed + kFreedNs < call->sent.ns;
    sent.push_back({call->label, call->sent.ns, at_once});
  }
  return sent;
}

void PoolQueues::Align(uint16_t pool, const CallIndex& calls) {
  std::vector<Call*> columns;
  for (size_t label = 0; label < calls.labels(); ++label) {
    if (pools_.Of(static_cast<Label>(label)) != pool) continue;
    const auto some = calls.Between(static_cast<Label>(label), since_ns_, UINT64_MAX);
    columns.insert(columns.end(), some.begin(), some.end());
  }
  if (columns.empty()) return;
  std::sort(columns.begin(), columns.end(), SentBefore);
  waiting_.clear(), unsure_.clear();
  for (uint32_t who = 0; who < handlers_.size(); ++who) Follow(who, pool);
  Sort();
  const auto fits = [&](uint32_t who, uint32_t number) { return Fits(who, *columns[number]); };
  const std::vector<QueueOrder::Sent> sent = SentOf(pool, columns);
  const auto shares = QueueOrder(waiting_, unsure_, sent, state_[pool].nobody, fits).Solve();
  for (size_t i = 0; i < columns.size(); ++i) Apply(*columns[i], shares[i], state_[pool]);
}

void PoolQueues::Apply(Call& call, const QueueOrder::Shares& shares, Pool& pool) {
  call.shares.clear();
  float nobody = 1;
  for (const QueueOrder::Share& share : shares) {
    call.shares.push_back({handlers_[share.who]->id, share.probability});
    nobody -= share.probability;
  }
  pool.nobody += (std::clamp(nobody, 0.002f, 0.5f) - pool.nobody) / 256;
  if (shares.empty()) return;
  const QueueOrder::Share& first = shares[0];
  Handler& handler = *handlers_[first.who];
  if (first.probability > kSureShare && handler.replied && call.number < anchors_.size()) {
    const auto& mine = anchors_[call.number];
    const bool seen =
        std::any_of(mine.begin(), mine.end(), [&](const Anchor& anchor) { return anchor.who == first.who; });
    const uint32_t key = FollowedKey(handler, call.label);
    if (followed_.size() < kMaxFollowed || followed_.contains(key)) followed_[key].Add(seen);
  }
  if (call.owner == nullptr && first.probability > kLikely) simulation_.Propose(call, handler);
}

}  // namespace spantap
