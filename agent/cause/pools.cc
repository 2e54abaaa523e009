// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/pools.h"

#include <algorithm>
#include <cstdlib>
#include <cstdio>

namespace spantap {

void Pools::OnSent(Call& call, uint64_t destination) {
  auto it = numbers_.find(destination);
  if (it == numbers_.end()) {
    if (pools_.size() >= kMax) {
      call.pool = kNone;
      return;
    }
    it = numbers_.emplace(destination, static_cast<uint16_t>(pools_.size())).first;
    pools_.emplace_back();
  }
  call.pool = it->second;
  Pool& pool = pools_[call.pool];
  ++pool.busy;
  pool.most += pool.busy > pool.most ? 0.2f : -0.02f;
  pool.mean += (static_cast<float>(pool.busy) - pool.mean) / 128;
  const auto busy = static_cast<float>(pool.busy);
  const bool full = busy + 1.5f > pool.most || (pool.waits && busy + 0.5f > pool.mean);
  const bool waited = call.dequeued && pool.busy > 1 && full;
  pool.waited += (static_cast<float>(waited) - pool.waited) / 128;
  const float varies = pool.most - pool.mean;
  pool.waits = pool.waits ? pool.waited > 0.2f && varies < 4 : pool.waited > 0.3f && varies < 1.5f;
  if (of_.size() <= call.label) of_.resize(call.label + 1, kNone);
  of_[call.label] = call.pool;
  static const bool trace = getenv("POOLS") != nullptr;
  if (trace && rand() % 200 == 0) fprintf(stderr, "pool %d waits %d most %.1f mean %.2f waited %.3f\n", call.pool, pool.waits, pool.most, pool.mean, pool.waited);
}

void Pools::OnAnswered(const Call& call) {
  if (call.pool >= pools_.size()) return;
  Pool& pool = pools_[call.pool];
  if (pool.busy > 0) --pool.busy;
  pool.freed = call.answer;
}

bool Pools::AnyWaits() const {
  for (uint16_t i = 0; i < pools_.size(); ++i) {
    if (Waits(i)) return true;
  }
  return false;
}

}  // namespace spantap
