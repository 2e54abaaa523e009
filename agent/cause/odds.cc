// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/odds.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "agent/cause/learned_image.h"

namespace spantap {
namespace {

constexpr double kMostOdds = 6;
constexpr double kUnsure = 12;       // nats that a context costs which was never seen
constexpr double kPriorWeight = 20;  // of what is assumed before anything is measured, in observations
constexpr double kGapPrior = 2;
constexpr float kMostSeen = 4096;  // older observations fade
constexpr float kFade = 2048;
constexpr double kSureHop = 0.8;
constexpr float kHopMin = 8;
constexpr double kHardly = 0.01;  // share of calls that waited for a connection where there are enough
constexpr float kRare = 0.02f;
constexpr float kRareGap = 0.002f;

// What immediate steps look like before any was seen: the nearer, the likelier, as a factor on strangers.
double Tilt(uint8_t nearness) {
  if (nearness < 9) return std::exp(3.5 - 0.5 * (nearness / 3) - 0.5 * (nearness % 3));
  if (nearness == 9) return std::exp(-2.0);
  if (nearness < 37) {
    const int between = (nearness - 10) % 9;
    return std::exp(3.0 - 1.0 * (between / 3) - 1.0 * (between % 3));
  }
  if (nearness == 37) return std::exp(0.2);
  if (nearness == kHomeThread) return std::exp(1.0);
  if (nearness == kOtherThread) return std::exp(-0.3);
  return 1e-6;
}

// The ends of the scale before any stranger was seen.
double UniformNearness() { return 1.0 / kNearness; }

}  // namespace

void Odds::Kind::Add(const Sight& sight, float weight) {
  gaps[sight.gap] += weight;
  nearness[GapBand(sight.gap)][sight.nearness] += weight;
  bands[GapBand(sight.gap)] += weight;
  total += weight;
  if (total < kFade) return;
  total /= 2;
  for (float& n : gaps) n /= 2;
  for (float& n : bands) n /= 2;
  for (auto& band : nearness) {
    for (float& n : band) n /= 2;
  }
}

double Odds::Kind::Gap(uint8_t gap) const { return (gaps[gap] + 1.0 / kGaps) / (total + 1); }

double Odds::Kind::Nearness(const Sight& sight) const {
  const uint8_t band = GapBand(sight.gap);
  return (nearness[band][sight.nearness] + UniformNearness()) / (bands[band] + 1);
}

double Odds::StrangerGap(size_t kind, uint8_t gap) const {
  const Kind& some = strangers_[kind];
  return (some.gaps[gap] + kPriorWeight * all_strangers_.Gap(gap)) / (some.total + kPriorWeight);
}

double Odds::StrangerNearness(size_t kind, const Sight& sight) const {
  const uint8_t band = GapBand(sight.gap);
  const Kind& some = strangers_[kind];
  return (some.nearness[band][sight.nearness] + kPriorWeight * all_strangers_.Nearness(sight)) /
         (some.bands[band] + kPriorWeight);
}

double Odds::ImmediateRatio(const StepContext& context, const Sight& sight) const {
  if (!MayBeImmediate(sight)) return 0;
  StepContext plain = context;
  plain.dequeued = false;
  const size_t kind = plain.kind();
  const Kind& some = immediate_[kind];
  double ratio = 1;
  if (parts_.adjacency) {
    const double stranger = StrangerNearness(kind, sight);
    double all = 0;
    for (const auto& band : some.nearness) all += band[sight.nearness];
    // The prior is what strangers look like, tilted to the near side; not normalized: it fades with what is seen.
    const double prior = std::min(1.0, stranger * Tilt(sight.nearness));
    ratio *= (all + kPriorWeight * prior) / (some.total + kPriorWeight) / stranger;
  }
  if (parts_.gaps) {
    const double stranger = StrangerGap(kind, sight.gap);
    ratio *= (some.gaps[sight.gap] + kPriorWeight * stranger) / (some.total + kPriorWeight) / stranger;
  }
  return ratio;
}

double Odds::DelayedRatio(const StepContext& context, const Context* learned, const Sight& sight) const {
  if (!parts_.gaps) return 1;
  const double stranger = StrangerGap(context.kind(), sight.gap);
  if (learned == nullptr) return 1;
  double delayed = 0, smooth = 0;
  for (size_t i = 0; i < kGaps; ++i) delayed += learned->gaps[i];
  smooth = learned->gaps[sight.gap];
  return (smooth + kGapPrior * stranger) / (delayed + kGapPrior) / stranger;
}

// A dialled connection is rare: until its steps are known, they are taken for the usual ones, turns aside.
const Odds::Context* Odds::Find(const StepContext& context) const {
  auto it = contexts_.find(context.key());
  if (context.dialled && (it == contexts_.end() || it->second.seen < kHopMin)) {
    StepContext usual = context;
    usual.dialled = false;
    it = contexts_.find(usual.key());
  }
  return it == contexts_.end() ? nullptr : &it->second;
}

uint8_t Odds::UsualHop(const Context& learned) {
  float sum = 0;
  size_t most = 0;
  for (size_t i = 0; i < kHops; ++i) {
    sum += learned.hops[i];
    if (learned.hops[i] > learned.hops[most]) most = i;
  }
  return sum >= kHopMin && learned.hops[most] > kSureHop * sum ? static_cast<uint8_t>(most) : kAnyHop;
}

uint8_t Odds::HopOf(const StepContext& context) const {
  const auto it = contexts_.find(context.key());
  return it == contexts_.end() ? kAnyHop : it->second.hop;
}

Odds::View Odds::ViewOf(const StepContext& context) const {
  View view;
  view.context_ = context;
  view.learned_ = Find(context);
  view.hop_ = HopOf(context);
  return view;
}

double Odds::Of(const View& view, bool dequeued, bool reuses, const Sight& sight) const {
  StepContext context = view.context_;
  context.dequeued = dequeued;
  context.reuses = reuses;
  return Of(context, view.learned_, sight);
}

double Odds::Of(const StepContext& context, const Sight& sight) const { return Of(context, Find(context), sight); }

double Odds::Of(const StepContext& context, const Context* learned, const Sight& sight) const {
  const double seen = learned == nullptr ? 0 : learned->seen;
  const double share = learned == nullptr ? 0.5 : (learned->immediate + 0.5) / (seen + 1);
  double odds;
  if (context.dequeued && context.next != kReply) {
    odds = std::log(0.3 * ImmediateRatio(context, sight) + 0.7);
  } else {
    const double ratio = share * ImmediateRatio(context, sight) + (1 - share) * DelayedRatio(context, learned, sight);
    odds = std::log(context.reuses && context.next != kReply ? (1 - kHardly) * ratio + kHardly : ratio + 1e-9);
  }
  return std::clamp(odds, -kMostOdds, kMostOdds) - kUnsure / (1 + seen / 4);
}

double Odds::SeenOf(const StepContext& context) const {
  const Context* const learned = Find(context);
  return learned == nullptr ? 0 : learned->seen;
}

double Odds::ImmediateShare(const StepContext& context) const {
  const Context* const learned = Find(context);
  return learned == nullptr || learned->seen <= 0 ? 0.5 : learned->immediate / learned->seen;
}

bool Odds::Immediate(const StepContext& context) const {
  const Context* const learned = Find(context);
  return learned != nullptr && learned->seen >= kHopMin && learned->immediate > 0.5f * learned->seen;
}

const std::array<float, kGaps>* Odds::GapsOf(const StepContext& context) const {
  const Context* const learned = Find(context);
  return learned == nullptr ? nullptr : &learned->gaps;
}

Odds::Reach Odds::ReachOf(const StepContext& context) const {
  const Context* const learned = Find(context);
  if (learned == nullptr || learned->seen < kHopMin) return {};
  Reach reach;
  const float delayed = learned->seen - learned->immediate;
  if (delayed < kRare * learned->seen) {
    reach.hop = HopOf(context);
    if (reach.hop != kAnyHop && learned->hops[reach.hop] > (1 - kRare) * learned->seen) return reach;
    reach.hop = kAnyHop;
  }
  uint8_t longest = 0;
  for (uint8_t i = 0; i < kGaps; ++i) {
    if (learned->gaps[i] > kRare * learned->seen) longest = i;
  }
  StepContext plain = context;
  plain.dequeued = false;
  const Kind& straight = immediate_[plain.kind()];
  for (uint8_t i = longest; i < kGaps; ++i) {
    if (learned->immediate > 0 && straight.gaps[i] > kRareGap * straight.total) longest = i;
  }
  reach.ns = longest + 2u >= kGaps ? UINT64_MAX : GapLimitNs(longest + 1);
  return reach;
}

void Odds::LearnTrue(const StepContext& context, const Sight& sight, double lasting, double present) {
  StepContext plain = context;
  plain.dequeued = false;
  const auto it = contexts_.find(context.key());
  if (it == contexts_.end() && contexts_.size() >= kMaxContexts) return;
  Context& learned = it == contexts_.end() ? contexts_[context.key()] : it->second;
  const double share = (learned.immediate + 0.5) / (learned.seen + 1);
  const double straight = share * ImmediateRatio(context, sight);
  const double later = (1 - share) * DelayedRatio(context, &learned, sight);
  const double immediate = straight / (straight + later + 1e-12);
  immediate_[plain.kind()].Add(sight, static_cast<float>(immediate * present));
  if (context.dequeued) return;  // it waited for a connection: its gap is not the handler's
  const auto weight = static_cast<float>(lasting);
  const auto part = static_cast<float>(immediate * lasting);
  learned.seen += weight;
  learned.immediate += part;
  learned.gaps[sight.gap] += weight - part;
  if (sight.hop != kAnyHop) learned.hops[sight.hop] += part;
  if (learned.seen >= kMostSeen) {
    learned.seen /= 2, learned.immediate /= 2;
    for (float& n : learned.gaps) n /= 2;
    for (float& n : learned.hops) n /= 2;
  }
  learned.hop = UsualHop(learned);
}

void Odds::LearnStranger(const StepContext& context, const Sight& sight) {
  strangers_[context.kind()].Add(sight, 1);
  all_strangers_.Add(sight, 1);
}

void Odds::ForgetRoute(uint16_t route) {
  absl::erase_if(contexts_, [route](const auto& entry) { return entry.first >> 16 == route; });
}

std::vector<ContextImage> Odds::Export(uint16_t route) const {
  std::vector<ContextImage> images;
  for (const auto& [key, context] : contexts_) {
    if (key >> 16 != route) continue;
    const auto last = static_cast<Last>(key >> 14 & 3);
    images.push_back({last, static_cast<Label>(key >> 8 & 63), static_cast<Label>(key >> 1 & 63), (key & 1) != 0,
                      context.seen, context.immediate, context.hops, context.gaps});
  }
  std::sort(images.begin(), images.end(), [](const ContextImage& a, const ContextImage& b) {
    return std::tie(a.last, a.last_label, a.next, a.dialled) < std::tie(b.last, b.last_label, b.next, b.dialled);
  });
  return images;
}

// Two contexts of an image may be one here, if there are too many calls to tell them apart.
void Odds::Import(const StepContext& context, const ContextImage& image) {
  const uint32_t key = context.key();
  if (contexts_.size() >= kMaxContexts && !contexts_.contains(key)) return;
  const float scale = RecallScale(image.seen);
  Context& learned = contexts_[key];
  learned.seen += image.seen * scale;
  learned.immediate += image.immediate * scale;
  for (size_t i = 0; i < kHops; ++i) learned.hops[i] += image.hops[i] * scale;
  for (size_t i = 0; i < kGaps; ++i) learned.gaps[i] += image.gaps[i] * scale;
  learned.hop = UsualHop(learned);
}

}  // namespace spantap
