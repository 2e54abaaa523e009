// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/program.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace spantap {
namespace {

constexpr double kUnseen = 0.3;  // weight of labels that were never seen in a state
constexpr float kMostSeen = 4096;
// What was imported and is not seen again has gone (50 -> below 1) when the state was seen some 170 times.
constexpr float kMostFading = 64;
constexpr uint8_t kFadings = 6;

uint64_t Mix(uint64_t x) {
  x = (x ^ x >> 31) * 0x9e3779b97f4a7c15ull;
  x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
  return x ^ x >> 32;
}

uint32_t LabelKey(uint16_t route, Label label) { return static_cast<uint32_t>(route) << 8 | label; }

}  // namespace

void Bag::Add(Label label) {
  if (count(label) < kCounted) words_[label / 32] += 1ull << 2 * (label % 32);
}

void Bag::Add(const Bag& other, const LabelMap& labels) {
  for (Label label = 0; label < kMaxLabels; ++label) {
    for (uint32_t i = 0; i < other.count(label); ++i) Add(labels[label]);
  }
}

uint64_t Bag::hash() const { return Mix(words_[0] + 0x27d4eb2f) + Mix(words_[1] ^ 0x165667b19e3779f9ull); }

std::optional<Bag> Bag::Without(Label label) const {
  if (count(label) == 0 || count(label) == kCounted) return std::nullopt;
  Bag less = *this;
  less.words_[label / 32] -= 1ull << 2 * (label % 32);
  return less;
}

Bag Bag::Of(const std::array<uint64_t, 2>& words) {
  Bag bag;
  bag.words_ = {words[0], words[1] & ~(3ull << 62)};
  return bag;
}

uint64_t HandlerState::key() const { return Mix(bag.hash() + Mix(0x5bd1e995ull << 20 | route * 2ull | outstanding)); }

void Program::Learn(const HandlerState& state, Label next, double weight) {
  const uint64_t key = state.key();
  if (states_.size() >= kMaxStates && !states_.contains(key)) return;
  State& learned = states_[key];
  learned.bag = state.bag;
  learned.route = state.route;
  learned.outstanding = state.outstanding;
  const auto amount = static_cast<float>(weight);
  auto it = learned.next.begin();
  while (it != learned.next.end() && it->first != next) ++it;
  if (it == learned.next.end()) it = learned.next.insert(it, {next, 0});
  it->second += amount;
  learned.total += amount;
  labels_[LabelKey(state.route, next)] += amount;
  totals_[state.route] += amount;
  if (learned.total < (learned.fading > 0 ? kMostFading : kMostSeen)) return;
  if (learned.fading > 0) --learned.fading;
  learned.total /= 2;
  for (auto& [label, seen] : learned.next) seen /= 2;
}

const Program::NextLabels* Program::NextOf(const HandlerState& state) const {
  const auto it = states_.find(state.key());
  return it == states_.end() ? nullptr : &it->second.next;
}

float Program::TotalOf(const HandlerState& state) const {
  const auto it = states_.find(state.key());
  return it == states_.end() ? 0 : it->second.total;
}

// Who read all answers goes on from the same state with none outstanding, who did not was seen to call from this one.
double Program::CallsOn(const HandlerState& state) const {
  HandlerState answered = state;
  answered.outstanding = false;
  const double calls = TotalOf(state) + 1;
  return calls / (calls + TotalOf(answered) + 1);
}

double Program::LogOfAnswers(const HandlerState& state) const { return std::log(1 - CallsOn(state)); }

double Program::LogOf(const HandlerState& state, Label next) const {
  const double calls = state.outstanding && next != kReply ? std::log(CallsOn(state)) : 0;
  const auto it = states_.find(state.key());
  double seen = 0;
  if (it != states_.end()) {
    for (const auto& [which, count] : it->second.next) {
      if (which == next) seen = count;
    }
    if (seen >= 1) return calls + std::log(seen / (it->second.total + kUnseen));  // what is common needs no prior
  }
  const auto label = labels_.find(LabelKey(state.route, next));
  const auto total = totals_.find(state.route);
  const double base = ((label == labels_.end() ? 0 : label->second) + 0.5) /
                      ((total == totals_.end() ? 0 : total->second) + 0.5 * (kMaxLabels + 1));
  if (it == states_.end()) return calls + std::log(base);
  return calls + std::log((seen + kUnseen * base) / (it->second.total + kUnseen));
}

void Program::ForgetRoute(uint16_t route) {
  absl::erase_if(states_, [route](const auto& entry) { return entry.second.route == route; });
  absl::erase_if(labels_, [route](const auto& entry) { return entry.first >> 8 == route; });
  totals_.erase(route);
}

std::vector<StateImage> Program::Export(uint16_t route) const {
  std::vector<StateImage> images;
  for (const auto& [key, state] : states_) {
    if (state.route != route) continue;
    images.push_back({state.bag.words(), state.outstanding, {state.next.begin(), state.next.end()}});
    std::sort(images.back().next.begin(), images.back().next.end());
  }
  std::sort(images.begin(), images.end(), [](const StateImage& a, const StateImage& b) {
    return std::tie(a.bag, a.outstanding) < std::tie(b.bag, b.outstanding);
  });
  return images;
}

void Program::Import(uint16_t route, const StateImage& image, const LabelMap& labels) {
  HandlerState state;
  state.route = route;
  state.outstanding = image.outstanding;
  state.bag.Add(Bag::Of(image.bag), labels);
  float total = 0;
  for (const auto& [label, seen] : image.next) total += seen;
  const double scale = RecallScale(total);
  for (const auto& [label, seen] : image.next) Learn(state, labels[label], seen * scale);
  const auto it = states_.find(state.key());
  if (it != states_.end()) it->second.fading = kFadings;
}

}  // namespace spantap
