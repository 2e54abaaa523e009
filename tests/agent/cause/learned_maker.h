// SPDX-License-Identifier: Apache-2.0
//
// Images of what was learned, for tests: random ones that keep all rules, and the traffic of a small server that
// teaches a finder what its handlers do.
#pragma once

#include <map>
#include <random>
#include <vector>

#include "agent/cause/cause_finder.h"
#include "agent/cause/program.h"

namespace spantap::cause_test {

inline LearnedImage RandomImage(uint32_t seed, size_t calls, size_t routes) {
  std::mt19937 random(seed);
  const auto up_to = [&](uint32_t n) { return random() % n; };
  const auto label = [&] { return static_cast<Label>(calls == 0 || up_to(9) == 0 ? kOtherLabel : up_to(calls)); };
  LearnedImage image;
  for (size_t i = 0; i < calls; ++i) image.calls.push_back(uint64_t{random()} << 32 | (i + 1));
  for (size_t i = 0; i < routes; ++i) {
    RouteImage& route = image.routes.emplace_back();
    route.route = uint64_t{random()} << 32 | (i + 1);
    for (uint32_t n = 1 + up_to(5); n > 0; --n) {
      StateImage& state = route.states.emplace_back();
      Bag bag;
      for (uint32_t sent = up_to(6); sent > 0; --sent) bag.Add(label());
      state.bag = bag.words();
      state.outstanding = up_to(2) == 1;
      state.next = {{label(), 1 + up_to(4000) / 7.0f}, {kReply, up_to(100) / 3.0f}};
    }
    for (uint32_t n = up_to(5); n > 0; --n) {
      ContextImage& context = route.contexts.emplace_back();
      context.last = static_cast<Last>(up_to(3));
      context.last_label = context.last == Last::kRequest ? 0 : label();
      context.next = up_to(2) == 1 ? kReply : label();
      context.dialled = up_to(2) == 1;
      context.seen = up_to(1000) / 3.0f;
      context.immediate = context.seen * 0.25f;
      context.hops[up_to(kHops)] = 17.5f;
      context.gaps[up_to(kGaps)] = 3.25f;
    }
    if (up_to(2) == 1) route.token_uses.push_back({label(), 90, 45});
  }
  return image;
}

// A server with two routes, of which each makes a call of its own. Times are the same for both; nothing but what a
// handler is known to do next tells whose a call is.
class Server {
 public:
  static constexpr uint32_t kTgid = 7;
  static constexpr uint64_t kRoutes[2] = {0xaaaa0001, 0xaaaa0002};
  static constexpr uint64_t kCalls[2] = {0xcccc0001, 0xcccc0002};

  // `swapped`: the routes make each other's call.
  explicit Server(CauseFinder& finder, bool swapped = false) : finder_(finder), swapped_(swapped) {}

  // What follows is served by that process.
  void RunAs(uint32_t tgid) { tgid_ = tgid; }
  // One request after the other.
  void Calm(int requests) {
    for (int i = 0; i < requests; ++i) {
      Serve({static_cast<size_t>(i % 2)});
      Pass(30'000'000);
    }
  }
  // Both at once: how many calls were given to the right one with a confidence above 0.9, and how many to the wrong
  // one.
  struct Score {
    int right = 0, wrong = 0, calls = 0;
    int named = 0;  // right ones, however surely
  };
  Score Busy(int pairs) {
    Score score;
    for (int i = 0; i < pairs; ++i) {
      Serve({0, 1});
      Pass(30'000'000);
    }
    finder_.Flush();
    for (const CauseDecision& decision : finder_.TakeDecisions()) {
      const auto it = owner_.find(decision.outgoing);
      if (it == owner_.end()) continue;
      ++score.calls;
      score.named += it->second == decision.incoming;
      if (decision.confidence <= 0.9) continue;
      ++(it->second == decision.incoming ? score.right : score.wrong);
    }
    return score;
  }

 private:
  void Serve(std::vector<size_t> which) {
    std::vector<uint64_t> requests, calls;
    for (const size_t route : which) {
      requests.push_back(++ids_);
      finder_.OnIncoming(tgid_, {ids_, At(10'000), kRoutes[route], {}});
    }
    Pass(300'000);
    for (size_t i = 0; i < which.size(); ++i) {
      OutgoingRequest call;
      call.id = ++ids_;
      call.at = At(10'000);
      call.call = kCalls[swapped_ ? 1 - which[i] : which[i]];
      call.connection = 100 + which[i];
      call.destination = 5;
      finder_.OnOutgoing(tgid_, call);
      calls.push_back(call.id);
      if (which.size() > 1) owner_[call.id] = requests[i];
    }
    Pass(900'000);
    for (const uint64_t call : calls) {
      finder_.OnResponse(tgid_, call, At(10'000));
      finder_.OnOver(tgid_, call, ns_);
    }
    Pass(300'000);
    for (const uint64_t request : requests) {
      finder_.OnResponse(tgid_, request, At(10'000));
      finder_.OnOver(tgid_, request, ns_);
    }
  }
  Moment At(uint64_t later) {
    Moment moment;
    moment.ns = ns_ += later;
    moment.tid = 70 + ++moments_;  // always another thread: that tells nothing
    moment.counted = true;
    return moment;
  }
  void Pass(uint64_t ns) {
    ns_ += ns;
    finder_.OnTime(ns_);
  }

  CauseFinder& finder_;
  const bool swapped_;
  uint32_t tgid_ = kTgid;
  uint64_t ns_ = 1'000'000'000;
  uint64_t ids_ = 0;
  uint32_t moments_ = 0;
  std::map<uint64_t, uint64_t> owner_;  // of calls made while several requests were open
};

}  // namespace spantap::cause_test
