// SPDX-License-Identifier: Apache-2.0
//
// The memory of one ring: a memfd that the agent made, sized, sealed and filled with pages, so that neither end can be
// hurt by the other (no SIGBUS after a truncation) and the pages are the agent's in every account.
//
// Used by agent/handoff and exporter/embedded. Memory: the ring and its header page, until the object goes; a producer
// may keep its mapping.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"
#include "exporter/handoff/ring_layout.h"

namespace spantap {

// Of a ring's data, as a hello wishes it: 0 is the default, other sizes what the layout allows.
uint64_t RingBytes(uint32_t wished_bytes);

class RingMemory {
 public:
  RingMemory() = default;
  // `data_bytes`: a power of two between the layout's bounds. Invalid on failure; errno tells why.
  explicit RingMemory(uint64_t data_bytes);
  RingMemory(RingMemory&& other) noexcept;
  RingMemory& operator=(RingMemory&&) = delete;
  ~RingMemory();

  bool valid() const { return ring_ != nullptr; }
  spantap_ring* ring() const { return ring_; }
  uint64_t data_bytes() const { return data_bytes_; }
  int fd() const { return fd_.get(); }
  void CloseFd() { fd_.Reset(); }  // once it is passed on; the mapping stays

 private:
  UniqueFd fd_;
  spantap_ring* ring_ = nullptr;
  uint64_t data_bytes_ = 0;
};

}  // namespace spantap
