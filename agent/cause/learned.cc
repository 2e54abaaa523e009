// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/learned.h"

#include <cmath>

namespace spantap {
namespace {

constexpr double kTokenPrior = 2;
constexpr double kQueueTrust = 0.98, kQueueErrs = 0.003;  // an order says much, and never nothing of the others
constexpr double kCommon = 0.98;
constexpr double kRareToken = 0.02;

uint32_t UseKey(const Handler& handler, const Call& call) {
  return static_cast<uint32_t>(handler.route) << 8 | call.label;
}

bool Has(const Handler& handler, uint64_t token) {
  return std::binary_search(handler.tokens.begin(), handler.tokens.end(), token);
}

}  // namespace

// Tokens of one call may say the same thing twice (a list and its parts): only the rarest counts.
double Learned::TokenRatio(const Handler& handler, const Call& call) const {
  if (call.tokens.empty()) return 1;
  double shared = 1, rarest = 1;
  for (const uint64_t token : call.tokens) {
    const double share = token_counts.ShareOf(token);
    rarest = std::min(rarest, share);
    if (Has(handler, token)) shared = std::min(shared, share);
  }
  const auto it = token_use_.find(UseKey(handler, call));
  const double with = it == token_use_.end() ? 0 : it->second.with;
  const double same = it == token_use_.end() ? 0 : it->second.same;
  const double match = std::clamp((same + kTokenPrior / 2) / (with + kTokenPrior), 0.005, 0.995);
  return shared < kCommon ? match / shared : (1 - match) / (1 - std::min(rarest, kCommon));
}

double Learned::TokenOdds(const Handler& handler, const Call& call) const {
  return std::log(TokenRatio(handler, call));
}

double Learned::ProposalOdds(const Handler& handler, const Call& call) const {
  if (!call.shares.empty()) return std::log((kQueueTrust * ShareOf(handler, call) + kQueueErrs) / 0.5);
  if (call.proposed == nullptr) return 0;
  const double right = proposals[static_cast<size_t>(call.proposal)].value();
  return std::log((call.proposed == &handler ? right : 1 - right) / 0.5);
}

double Learned::EndOdds(const Handler& handler, const Progress& end) const {
  if (handler.ended == 0) return 0;
  const double right = ends.value();
  return std::log((end.answered == handler.ended ? right : 1 - right) / 0.5);
}

bool Learned::ShareToken(const Handler& handler, const Call& call) const {
  return std::any_of(call.tokens.begin(), call.tokens.end(),
                     [&](uint64_t token) { return Has(handler, token) && token_counts.ShareOf(token) < kRareToken; });
}

void Learned::LearnToken(const Handler& handler, const Call& call, double weight) {
  if (call.tokens.empty()) return;
  const uint32_t key = UseKey(handler, call);
  if (token_use_.size() >= kMaxTokenUses && !token_use_.contains(key)) return;
  TokenUse& use = token_use_[key];
  use.with += static_cast<float>(weight);
  const bool same =
      std::any_of(call.tokens.begin(), call.tokens.end(), [&](uint64_t token) { return Has(handler, token); });
  if (same) use.same += static_cast<float>(weight);
}

void Learned::ForgetRoute(uint16_t route) {
  odds.ForgetRoute(route);
  program.ForgetRoute(route);
  strain.ForgetRoute(route);
  absl::erase_if(token_use_, [route](const auto& entry) { return entry.first >> 8 == route; });
}

RouteImage Learned::Export(uint16_t route) const {
  RouteImage image;
  image.states = program.Export(route);
  image.contexts = odds.Export(route);
  for (const auto& [key, use] : token_use_) {
    if (key >> 8 == route) image.token_uses.push_back({static_cast<Label>(key & 0xff), use.with, use.same});
  }
  std::sort(image.token_uses.begin(), image.token_uses.end(),
            [](const TokenUseImage& a, const TokenUseImage& b) { return a.label < b.label; });
  return image;
}

void Learned::Import(uint16_t route, const RouteImage& image, const LabelMap& labels) {
  for (const StateImage& state : image.states) program.Import(route, state, labels);
  for (const ContextImage& context : image.contexts) {
    const Label last = context.last == Last::kRequest ? context.last_label : labels[context.last_label];
    odds.Import({route, context.last, last, labels[context.next], false, context.dialled}, context);
  }
  for (const TokenUseImage& use : image.token_uses) {
    const uint32_t key = static_cast<uint32_t>(route) << 8 | labels[use.label];
    if (token_use_.size() >= kMaxTokenUses && !token_use_.contains(key)) continue;
    const float scale = RecallScale(use.with);
    token_use_[key].with += use.with * scale;
    token_use_[key].same += use.same * scale;
  }
}

}  // namespace spantap
