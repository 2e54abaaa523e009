// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/strain.h"

#include <algorithm>

namespace spantap {
namespace {

constexpr double kSlow = 512, kFast = 64;  // calls

uint32_t KindOf(uint16_t route, Label label) { return static_cast<uint32_t>(route) << 8 | label; }

}  // namespace

void Lately::Add(bool happened) {
  slow_.times += happened, fast_.times += happened;
  if (++slow_.all > kSlow) slow_.times /= 2, slow_.all /= 2;
  if (++fast_.all > kFast) fast_.times /= 2, fast_.all /= 2;
}

double Lately::value() const { return std::max(slow_.times / slow_.all, fast_.times / fast_.all - 2 / kFast); }

double Strain::OpenOf(uint16_t route, Label label) const {
  const auto it = kinds_.find(KindOf(route, label));
  return it == kinds_.end() ? kOpenPrior : it->second.value();
}

void Strain::AddOpen(uint16_t route, Label label, bool open) {
  AddOpen(open);
  const uint32_t kind = KindOf(route, label);
  if (kinds_.size() >= kMaxKinds && !kinds_.contains(kind)) return;
  kinds_.try_emplace(kind, kOpenPrior).first->second.Add(open);
}

void Strain::ForgetRoute(uint16_t route) {
  absl::erase_if(kinds_, [route](const auto& entry) { return entry.first >> 8 == route; });
}

}  // namespace spantap
