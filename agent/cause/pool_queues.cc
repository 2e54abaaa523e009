// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/pool_queues.h"

#include <algorithm>
#include <cmath>

namespace spantap {
namespace {

constexpr int kMostSteps = 24;
constexpr double kExpected = 0.3;
constexpr uint64_t kFreedNs = 1'500'000;
constexpr uint64_t kTurnsNs = 8'000'000;
constexpr double kExact = 4;
constexpr uint64_t kReachNs = 2'000'000;
constexpr int kMostDepth = 3;
constexpr double kLeastOdds = 1;
constexpr size_t kMostNear = 24;

}  // namespace

void PoolQueues::Run(const std::vector<Handler*>& open, const std::deque<Handler*>& closed, const CallIndex& calls,
                     uint64_t since_ns, uint64_t now_ns) {
  since_ns_ = since_ns;
  handlers_.clear();
  for (Handler* handler : closed) {
    if (!handler->resolved) handlers_.push_back(handler);
  }
  handlers_.insert(handlers_.end(), open.begin(), open.end());
  Collect(calls, now_ns);
  for (uint32_t who = 0; who < handlers_.size(); ++who) {
    if (handlers_[who]->replied) FindAnchors(who, handlers_[who]->reply, kReply, false, 8, 0);
  }
  static const bool all = getenv("ALLPOOLS") != nullptr;
  state_.resize(pools_.size());
  std::vector<uint16_t> order;
  for (uint16_t pool = 0; pool < pools_.size(); ++pool) {
    if (all || pools_.Waits(pool)) order.push_back(pool);
  }
  std::stable_sort(order.begin(), order.end(), [&](uint16_t a, uint16_t b) { return state_[a].depth < state_[b].depth; });
  for (const uint16_t pool : order) Align(pool, calls);
}

void PoolQueues::Collect(const CallIndex& calls, uint64_t now_ns) {
  answered_.clear();
  for (size_t label = 0; label < calls.labels(); ++label) {
    for (Call* call : calls.Between(static_cast<Label>(label), since_ns_, now_ns)) {
      call->number = kNoNumber;
      if (!call->answered) continue;
      answered_.push_back(call);
    }
  }
  std::sort(answered_.begin(), answered_.end(),
            [](const Call* a, const Call* b) { return a->answer.ns != b->answer.ns ? a->answer.ns < b->answer.ns : a->id < b->id; });
  for (uint32_t i = 0; i < answered_.size(); ++i) answered_[i]->number = i;
  anchors_.assign(answered_.size(), {});
}

// Whose answer may have made the handler do what it did at `end`, and what made it make that call, and so on.
void PoolQueues::FindAnchors(uint32_t who, const Moment& end, Label next, bool dialled, double odds, int depth) {
  const Handler& handler = *handlers_[who];
  const auto last = std::upper_bound(answered_.begin(), answered_.end(), end.ns,
                                     [](uint64_t ns, const Call* call) { return ns < call->answer.ns; });
  size_t looked = 0;
  for (auto it = last; it != answered_.begin() && looked < kMostNear; ++looked) {
    Call& call = **--it;
    if (call.answer.ns + kTurnsNs < end.ns) break;
    if (call.sent.ns < handler.begin.ns || (call.owner != nullptr && call.owner != &handler)) continue;
    const StepContext context = {handler.route, Last::kAnswer, call.label, next, false, dialled};
    if (!learned_.odds.Immediate(context)) continue;
    const uint8_t hop = learned_.odds.HopOf(context);
    const Sight sight = See(call.answer, end, handler.begin.tid, hop);
    double here = odds;
    if (hop != kAnyHop && call.answer.tid == end.tid) {
      if (sight.hop != hop) continue;
      here = std::min(odds, kExact);
    } else {
      if (call.answer.ns + kReachNs < end.ns) continue;
      here = std::min(odds, learned_.odds.Of(context, sight));
    }
    if (here < kLeastOdds) continue;
    auto& mine = anchors_[call.number];
    const auto same = std::find_if(mine.begin(), mine.end(), [&](const Anchor& anchor) { return anchor.who == who; });
    if (same == mine.end()) {
      mine.push_back({who, static_cast<float>(here)});
    } else {
      same->odds = std::max(same->odds, static_cast<float>(here));
    }
    if (depth + 1 < kMostDepth) FindAnchors(who, call.sent, call.label, call.dialled, here, depth + 1);
  }
}

void PoolQueues::Emit(uint32_t who, const Progress& at, Label label, double not_made) {
  if (learned_.odds.Immediate(at.Next(label))) {
    const uint8_t hop = learned_.odds.HopOf(at.Next(label));
    const bool counted = at.at.counted && hop != kAnyHop;
    waiting_.push_back({who, label, at.at.ns, static_cast<float>(std::max(0.01, not_made)), counted ? at.at.tid : 0,
                        at.at.turn + hop});
    return;
  }
  const auto* const gaps = learned_.odds.GapsOf(at.Next(label));
  if (gaps == nullptr) return;
  float all = 0, sum = 0;
  for (const float n : *gaps) all += n;
  if (all <= 0) return;
  QueueOrder::Unsure entry{who, label, {}};
  uint64_t begin = 0;
  for (size_t i = 0; i < kGaps; ++i) {
    const uint64_t end = i + 1 < kGaps ? GapLimitNs(i) : 128'000'000;
    if ((*gaps)[i] > 0) {
      if (entry.until.empty()) entry.until.push_back({at.at.ns + begin, 0});
      sum += (*gaps)[i];
    }
    if (!entry.until.empty()) entry.until.push_back({at.at.ns + end, sum / all});
    if (sum >= all) break;
    begin = end;
  }
  unsure_.push_back(std::move(entry));
}

void PoolQueues::Follow(uint32_t who, uint16_t pool) {
  Handler& handler = *handlers_[who];
  Progress at(handler);
  absl::InlinedVector<Call*, 8> known(handler.proposed.begin(), handler.proposed.end());
  std::sort(known.begin(), known.end(), SentBefore);
  int imagined = 0, made = 0;
  for (int step = 0; step < kMostSteps; ++step) {
    if (imagined > 0) at.state.outstanding = true;
    const Program::NextLabels* const labels = learned_.program.NextOf(at.state);
    float all = 0, reply = 0;
    const std::pair<Label, float>* best = nullptr;
    if (labels != nullptr) {
      for (const auto& each : *labels) {
        all += each.second;
        if (each.first == kReply) {
          reply = each.second;
        } else if (best == nullptr || each.second > best->second) {
          best = &each;
        }
      }
    }
    Label label = kReply;
    auto found = known.end();
    if (labels != nullptr) {
      for (auto it = known.begin(); it != known.end() && found == known.end(); ++it) {
        for (const auto& each : *labels) {
          if (each.first == (*it)->label && each.second > 0.05f * all) found = it;
        }
      }
      // What is surely next goes first, though what comes after it may be known already.
      if (best != nullptr && best->second >= kExpected * all) label = best->first;
      if (found != known.end()) {
        float share = 0;
        for (const auto& each : *labels) {
          if (each.first == (*found)->label) share = each.second;
        }
        if (label == kReply || share > 0.5f * best->second) label = (*found)->label;
      }
    }
    if (label == kReply) {
      if (at.outstanding.empty()) return;
      uint64_t first = UINT64_MAX;
      for (const Call* call : at.outstanding) first = std::min(first, call->answered ? call->answer.ns : UINT64_MAX);
      if (first == UINT64_MAX) return;
      at.ReadUntil(first);
      continue;
    }
    found = std::find_if(known.begin(), known.end(), [&](const Call* call) { return call->label == label; });
    const bool settled = found != known.end() && (*found)->sent.ns < since_ns_;
    if (pools_.Of(label) == pool) state_[pool].depth += (static_cast<float>(made) - state_[pool].depth) / 64;
    ++made;
    if (pools_.Of(label) == pool && !settled) Emit(who, at, label, reply / all);
    const bool immediate = learned_.odds.Immediate(at.Next(label));
    if (found != known.end()) {
      Call& call = **found;
      known.erase(found);
      if (immediate) {
        at.Await(call, learned_.odds.HopOf(at.Next(label)));
      } else {
        at.ReadUntil(call.sent.ns);
        at.Send(call);
      }
    } else if (immediate) {
      const uint8_t hop = learned_.odds.HopOf(at.Next(label));
      if (hop != kAnyHop) at.at.turn += hop;
      at.Imagine(label);
      ++imagined;
    } else {
      return;
    }
  }
}

double PoolQueues::Fits(uint32_t who, Call& call) {
  const Handler& handler = *handlers_[who];
  if (call.sent.ns < handler.begin.ns) return 0;
  if (call.owner != nullptr) return call.owner == &handler ? 1 : 1e-5;
  if (handler.over && handler.end_ns < call.sent.ns) return 0;
  if (handler.replied && (!call.answered || call.answer.ns > handler.reply.ns)) return 0;
  double fits = 1;
  if (settings_.use_tokens) fits *= std::exp(learned_.TokenOdds(handler, call));
  if (handler.replied && settings_.use_end && call.number < anchors_.size()) {
    const auto it = anchored_.find(static_cast<uint32_t>(handler.route) << 8 | call.label);
    const double often = it == anchored_.end() ? 0.5 : it->second.value();
    double odds = 0;
    for (const Anchor& anchor : anchors_[call.number]) {
      if (anchor.who == who) odds = anchor.odds;
    }
    fits *= odds > 0 ? often * std::exp(odds) : 1 - often;
  }
  return fits;
}

void PoolQueues::Align(uint16_t pool, const CallIndex& calls) {
  waiting_.clear(), unsure_.clear();
  for (uint32_t who = 0; who < handlers_.size(); ++who) Follow(who, pool);
  const bool loop = std::all_of(waiting_.begin(), waiting_.end(), [&](const auto& entry) {
    return entry.tid != 0 && entry.tid == waiting_.front().tid;
  });
  std::stable_sort(waiting_.begin(), waiting_.end(), [loop](const auto& a, const auto& b) {
    if (loop && a.turn != b.turn) return static_cast<int32_t>(a.turn - b.turn) < 0;
    return a.since_ns < b.since_ns;
  });
  for (size_t i = 1; i < waiting_.size(); ++i) {
    waiting_[i].since_ns = std::max(waiting_[i].since_ns, waiting_[i - 1].since_ns);
  }
  std::vector<Call*> sent;
  for (size_t label = 0; label < calls.labels(); ++label) {
    if (pools_.Of(static_cast<Label>(label)) != pool) continue;
    const auto some = calls.Between(static_cast<Label>(label), since_ns_, UINT64_MAX);
    sent.insert(sent.end(), some.begin(), some.end());
  }
  if (sent.empty()) return;
  std::sort(sent.begin(), sent.end(), SentBefore);
  std::vector<QueueOrder::Sent> columns;
  std::vector<uint64_t> freed;
  for (const Call* call : answered_) {
    if (call->pool == pool) freed.push_back(call->answer.ns);
  }
  for (const Call* call : sent) {
    const auto last = std::upper_bound(freed.begin(), freed.end(), call->sent.ns);
    const bool free = last == freed.begin() || *(last - 1) + kFreedNs < call->sent.ns;
    columns.push_back({call->label, call->sent.ns, free && !call->dequeued && !call->dialled});
  }
  const auto fits = [&](uint32_t who, uint32_t number) { return Fits(who, *sent[number]); };
  QueueOrder order(waiting_, unsure_, columns, state_[pool].nobody, fits);
  const auto shares = order.Solve();
  static const bool trace = getenv("QTRACE") != nullptr;
  for (size_t i = 0; i < sent.size(); ++i) {
    Apply(*sent[i], shares[i]);
    float nobody = 1;
    for (const auto& share : shares[i]) nobody -= share.probability;
    state_[pool].nobody += (std::clamp(nobody, 0.002f, 0.5f) - state_[pool].nobody) / 256;
    if (trace && !shares[i].empty()) {
      fprintf(stderr, "Q %llu", (unsigned long long)sent[i]->id);
      for (const auto& s : shares[i]) fprintf(stderr, " %llu:%.3f", (unsigned long long)handlers_[s.who]->id, s.probability);
      fprintf(stderr, "\n");
      fprintf(stderr, "ANCH %llu", (unsigned long long)sent[i]->id);
      if (sent[i]->number < anchors_.size())
        for (const auto& a : anchors_[sent[i]->number])
          fprintf(stderr, " %llu:%.2f", (unsigned long long)handlers_[a.who]->id, a.odds);
      fprintf(stderr, "\n");
    }
  }
  if (trace) fprintf(stderr, "RUN pool %d waiting %zu unsure %zu sent %zu handlers %zu\n", pool, waiting_.size(), unsure_.size(), sent.size(), handlers_.size());
}

void PoolQueues::Apply(Call& call, const QueueOrder::Shares& shares) {
  call.shares.clear();
  for (const QueueOrder::Share& share : shares) {
    call.shares.push_back({handlers_[share.who]->id, share.probability});
  }
  if (shares.empty()) return;
  Handler& handler = *handlers_[shares[0].who];
  if (shares[0].probability > 0.9f && handler.replied && call.number < anchors_.size()) {
    const auto& mine = anchors_[call.number];
    const bool has = std::any_of(mine.begin(), mine.end(), [&](const Anchor& a) { return a.who == shares[0].who; });
    anchored_[static_cast<uint32_t>(handler.route) << 8 | call.label].Add(has);
  }
  if (call.owner == nullptr && shares[0].probability > 0.5f) simulation_.Propose(call, handler);
}

}  // namespace spantap
