// SPDX-License-Identifier: Apache-2.0
//
// A producer's end of a ring, as ring_layout.h says, for memory of whatever origin. One thread.
#pragma once

#include <cstring>

#include "absl/strings/string_view.h"
#include "exporter/handoff/ring_layout.h"

namespace spantap::handoff_test {

class RingWriter {
 public:
  RingWriter() = default;
  RingWriter(spantap_ring* ring, uint64_t data_bytes) : ring_(ring), data_bytes_(data_bytes) {}

  // False: full.
  bool Write(absl::string_view record) {
    const uint64_t to_end = data_bytes_ - (head_ & (data_bytes_ - 1));
    const uint64_t pad = to_end < record.size() ? to_end : 0;
    const uint64_t tail = __atomic_load_n(&ring_->tail, __ATOMIC_ACQUIRE);
    if (head_ + pad + record.size() - tail > data_bytes_) return false;
    if (pad != 0) {
      const spantap_record filler = {static_cast<uint32_t>(pad), SPANTAP_RECORD_PAD, 0};
      Put(absl::string_view(reinterpret_cast<const char*>(&filler), sizeof(filler)));
      head_ += pad;
    }
    Put(record);
    head_ += record.size();
    Publish(head_);
    return true;
  }
  // Without looking at anything.
  void Put(absl::string_view bytes) const {
    std::memcpy(data() + (head_ & (data_bytes_ - 1)), bytes.data(), bytes.size());
  }
  void Publish(uint64_t head) const { __atomic_store_n(&ring_->head, head, __ATOMIC_RELEASE); }
  char* data() const { return reinterpret_cast<char*>(ring_) + SPANTAP_RING_HEADER_BYTES; }
  spantap_ring* ring() const { return ring_; }
  uint64_t data_bytes() const { return data_bytes_; }
  uint64_t head() const { return head_; }

 private:
  spantap_ring* ring_ = nullptr;
  uint64_t data_bytes_ = 0;
  uint64_t head_ = 0;
};

}  // namespace spantap::handoff_test
