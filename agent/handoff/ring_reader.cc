// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/ring_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "spantap/spantap.h"

namespace spantap {
namespace {

static_assert(RingReader::kMaxRecordBytes == SPANTAP_MAX_RECORD);
static_assert(RingReader::kMaxRecordBytes <= SPANTAP_RING_MIN_BYTES);
constexpr uint64_t kAlignment = 8;

uint64_t Step(const uint64_t& told, uint64_t& taken, uint64_t* seen) {
  const uint64_t now = __atomic_load_n(&told, __ATOMIC_RELAXED);
  if (now <= *seen) return 0;
  const uint64_t step = std::min(now - *seen, HandoffClaims::kMaxStep);
  *seen = now;
  __atomic_store_n(&taken, now, __ATOMIC_RELAXED);
  return step;
}

}  // namespace

HandoffDrops HandoffClaims::Advance(spantap_ring& ring) {
  return {Step(ring.dropped_full, ring.taken_full, &seen_.full),
          Step(ring.dropped_too_large, ring.taken_too_large, &seen_.too_large),
          Step(ring.dropped_no_agent, ring.taken_no_agent, &seen_.no_agent),
          Step(ring.dropped_invalid, ring.taken_invalid, &seen_.invalid)};
}

RingReader::Turn RingReader::Take(size_t max_records, std::vector<char>& scratch, TakeFn take) {
  Turn turn;
  const uint64_t head = __atomic_load_n(&ring_->head, __ATOMIC_ACQUIRE);
  const uint64_t before = tail_;
  turn.waiting = head - tail_;
  if (turn.waiting > data_bytes_ || head % kAlignment != 0) {
    turn.lied = true;
    return turn;
  }
  for (size_t i = 0; i < max_records && tail_ != head && !turn.lied; ++i) {
    turn.lied = !TakeOne(head - tail_, scratch, take);
  }
  turn.left = head - tail_;
  if (tail_ != before) __atomic_store_n(&ring_->tail, tail_, __ATOMIC_RELEASE);
  return turn;
}

void RingReader::SetState(spantap_ring_state state) const {
  __atomic_store_n(&ring_->state, static_cast<uint32_t>(state), __ATOMIC_RELEASE);
}

bool RingReader::TakeOne(uint64_t available, std::vector<char>& scratch, TakeFn take) {
  const uint64_t offset = tail_ & (data_bytes_ - 1);
  const uint64_t to_end = data_bytes_ - offset;
  const char* const at = data() + offset;
  // The header in one load: two might not belong to each other.
  const auto header =
      std::bit_cast<spantap_record>(__atomic_load_n(reinterpret_cast<const uint64_t*>(at), __ATOMIC_RELAXED));
  const uint64_t bytes = header.bytes;
  if (bytes < sizeof(spantap_record) || bytes % kAlignment != 0 || bytes > std::min(available, to_end)) return false;
  if (header.type == SPANTAP_RECORD_PAD) {
    if (bytes != to_end) return false;
  } else {
    if (header.type != SPANTAP_RECORD_SPAN || bytes > kMaxRecordBytes) return false;
    scratch.resize(kMaxRecordBytes);
    std::memcpy(scratch.data(), at, bytes);
    // A header that has changed since is found by the decoder: the copy then contradicts its own length.
    if (!take(absl::string_view(scratch.data(), bytes))) return false;
  }
  tail_ += bytes;
  return true;
}

}  // namespace spantap
