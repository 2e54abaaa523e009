// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/learned_image.h"

#include "agent/cause/program.h"

namespace spantap {
namespace {

class Merger {
 public:
  Merger(LearnedImage& into, const std::vector<uint64_t>& calls) : into_(into), calls_(calls) {
    for (const RouteImage& route : into.routes) Count(route);
  }

  void Replace(RouteImage& old, const RouteImage& route) {
    states_ -= old.states.size(), contexts_ -= old.contexts.size(), uses_ -= old.token_uses.size();
    if (Fits(route)) old = Translated(route);
    Count(old);
  }
  void Append(const RouteImage& route) {
    if (into_.routes.size() == LearnedImage::kMaxRoutes || !Fits(route)) return;
    Count(route);
    into_.routes.push_back(Translated(route));
  }

 private:
  bool Fits(const RouteImage& route) const {
    return states_ + route.states.size() <= LearnedImage::kMaxStates &&
           contexts_ + route.contexts.size() <= LearnedImage::kMaxContexts &&
           uses_ + route.token_uses.size() <= LearnedImage::kMaxTokenUses;
  }
  void Count(const RouteImage& route) {
    states_ += route.states.size(), contexts_ += route.contexts.size(), uses_ += route.token_uses.size();
  }
  Label Number(Label label) {
    if (label >= calls_.size()) return label;  // kOtherLabel or kReply
    auto& calls = into_.calls;
    const auto it = std::find(calls.begin(), calls.end(), calls_[label]);
    if (it != calls.end()) return static_cast<Label>(it - calls.begin());
    if (calls.size() == kOtherLabel) return kOtherLabel;
    calls.push_back(calls_[label]);
    return static_cast<Label>(calls.size() - 1);
  }
  RouteImage Translated(RouteImage route) {
    for (StateImage& state : route.states) {
      const Bag before = Bag::Of(state.bag);
      Bag bag;
      for (Label label = 0; label < kMaxLabels; ++label) {
        for (uint32_t i = 0; i < before.count(label); ++i) bag.Add(Number(label));
      }
      state.bag = bag.words();
      for (auto& [label, seen] : state.next) label = Number(label);
    }
    for (ContextImage& context : route.contexts) {
      if (context.last != Last::kRequest) context.last_label = Number(context.last_label);
      context.next = Number(context.next);
    }
    for (TokenUseImage& use : route.token_uses) use.label = Number(use.label);
    return route;
  }

  LearnedImage& into_;
  const std::vector<uint64_t>& calls_;
  size_t states_ = 0, contexts_ = 0, uses_ = 0;
};

}  // namespace

float RouteImage::replies() const {
  float replies = 0;
  for (const StateImage& state : states) {
    for (const auto& [label, seen] : state.next) replies += label == kReply ? seen : 0;
  }
  return replies;
}

LearnedImage Merge(LearnedImage now, const LearnedImage& before) {
  Merger merger(now, before.calls);
  for (const RouteImage& route : before.routes) {
    const auto same = [&](const RouteImage& other) { return other.route == route.route; };
    const auto it = std::find_if(now.routes.begin(), now.routes.end(), same);
    if (it == now.routes.end()) {
      merger.Append(route);
    } else if (it->replies() < std::min(route.replies(), kMostRecalled)) {
      merger.Replace(*it, route);
    }
  }
  return now;
}

}  // namespace spantap
