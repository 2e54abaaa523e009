// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/pools.h"

#include <algorithm>

namespace spantap {
namespace {

constexpr float kRecent = 128;                 // calls
constexpr float kUp = 0.2f, kDown = 0.02f;     // in balance where one of ten is above
constexpr float kNear = 1.5f;                  // connections below the limit
constexpr float kBegins = 0.3f, kEnds = 0.2f;  // share of calls that waited
constexpr float kPerhaps = 0.1f;               // more than by chance
constexpr float kSteady = 1.5f, kUnsteady = 4;

}  // namespace

void Pools::OnSent(Call& call, uint64_t destination) {
  auto it = numbers_.find(destination);
  if (it == numbers_.end()) {
    call.pool = kNone;
    if (pools_.size() >= kMax) return;
    it = numbers_.try_emplace(destination, static_cast<uint16_t>(pools_.size())).first;
    pools_.emplace_back();
  }
  call.pool = it->second;
  if (of_.size() <= call.label) of_.resize(call.label + 1, kNone);
  of_[call.label] = call.pool;

  Pool& pool = pools_[call.pool];
  const auto busy = static_cast<float>(++pool.busy);
  pool.most += busy > pool.most ? kUp : -kDown;
  pool.mean += (busy - pool.mean) / kRecent;
  const bool full = busy + kNear > pool.most || (pool.waits && busy + 0.5f > pool.mean);
  const bool waited = call.reuses && busy > 1 && full;
  pool.waited += ((waited ? 1.0f : 0.0f) - pool.waited) / kRecent;
  const float varies = pool.most - pool.mean;
  pool.waits = pool.waits ? pool.waited > kEnds && varies < kUnsteady : pool.waited > kBegins && varies < kSteady;
}

void Pools::OnAnswered(const Call& call) {
  OnGone(call);
  if (call.pool < pools_.size()) pools_[call.pool].freed = call.answer;
}

void Pools::OnGone(const Call& call) {
  if (call.pool < pools_.size() && pools_[call.pool].busy > 0) --pools_[call.pool].busy;
}

bool Pools::MayWait(uint16_t pool) const {
  if (pool >= pools_.size()) return false;
  return pools_[pool].waited > kPerhaps && pools_[pool].most - pools_[pool].mean < kUnsteady;
}

bool Pools::AnyWaits() const {
  return std::any_of(pools_.begin(), pools_.end(), [](const Pool& pool) { return pool.waits; });
}

}  // namespace spantap
