// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/program.h"

#include <cmath>

namespace spantap {
namespace {

constexpr double kUnseen = 0.3;  // weight of labels that were never seen in a state
constexpr float kMostSeen = 4096;
constexpr uint32_t kCounted = 3;

uint64_t Mix(uint64_t x) {
  x = (x ^ x >> 31) * 0x9e3779b97f4a7c15ull;
  x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
  return x ^ x >> 32;
}

uint32_t LabelKey(uint16_t route, Label label) { return static_cast<uint32_t>(route) << 8 | label; }

}  // namespace

void Bag::Add(Label label, uint32_t nth) {
  if (nth <= kCounted) hash_ += Mix((label * 8ull + nth + 1) << 40 | 0x27d4eb2f);
}

uint64_t HandlerState::key() const { return Mix(bag.hash() + Mix(0x5bd1e995ull << 20 | route * 2ull | outstanding)); }

void Program::Learn(const HandlerState& state, Label next, double weight) {
  const uint64_t key = state.key();
  if (states_.size() >= kMaxStates && !states_.contains(key)) return;
  State& learned = states_[key];
  learned.route = state.route;
  const auto amount = static_cast<float>(weight);
  auto it = learned.next.begin();
  while (it != learned.next.end() && it->first != next) ++it;
  if (it == learned.next.end()) it = learned.next.insert(it, {next, 0});
  it->second += amount;
  learned.total += amount;
  labels_[LabelKey(state.route, next)] += amount;
  totals_[state.route] += amount;
  if (learned.total < kMostSeen) return;
  learned.total /= 2;
  for (auto& [label, seen] : learned.next) seen /= 2;
}

const Program::NextLabels* Program::NextOf(const HandlerState& state) const {
  const auto it = states_.find(state.key());
  return it == states_.end() ? nullptr : &it->second.next;
}

double Program::LogOf(const HandlerState& state, Label next) const {
  const auto it = states_.find(state.key());
  double seen = 0;
  if (it != states_.end()) {
    for (const auto& [which, count] : it->second.next) {
      if (which == next) seen = count;
    }
    if (seen >= 1) return std::log(seen / (it->second.total + kUnseen));  // what is common needs no prior
  }
  const auto label = labels_.find(LabelKey(state.route, next));
  const auto total = totals_.find(state.route);
  const double base = ((label == labels_.end() ? 0 : label->second) + 0.5) /
                      ((total == totals_.end() ? 0 : total->second) + 0.5 * (kMaxLabels + 1));
  if (it == states_.end()) return std::log(base);
  return std::log((seen + kUnseen * base) / (it->second.total + kUnseen));
}

void Program::ForgetRoute(uint16_t route) {
  absl::erase_if(states_, [route](const auto& entry) { return entry.second.route == route; });
  absl::erase_if(labels_, [route](const auto& entry) { return entry.first >> 8 == route; });
  totals_.erase(route);
}

}  // namespace spantap
