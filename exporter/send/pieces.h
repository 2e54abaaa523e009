// SPDX-License-Identifier: Apache-2.0
//
// A batch on its way, in the pieces that collectors make of it: who finds a request too large gets it in halves, as
// long as that makes sense. Used by the sender.
//
// A refusal as too large need not mean the size: RESOURCE_EXHAUSTED is also what a spent quota is called. So halving
// stops at kSmallBytes: a collector that refuses such a piece will refuse the others too, and they are not sent. A
// batch of 3.5 MB costs at most nine requests that way, and not one per span.
//
// One thread. Memory: the batch, and while it is split a copy of the piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "exporter/send/batch.h"

namespace spantap {

class Pieces {
 public:
  static constexpr size_t kSmallBytes = 16 << 10;

  explicit Pieces(Batch batch);

  bool empty() const { return pieces_.empty(); }
  const Batch& current() const { return pieces_.back(); }
  // Splits until current() has at most `max_bytes`, or is one span, or cannot be split.
  void Fit(size_t max_bytes);
  // Takes current() out: it is settled, or somebody else's now.
  Batch Pop();

  // current() was refused as too large. Spans that are lost by that; zero: it has been split.
  struct Loss {
    uint64_t current = 0;
    uint64_t others = 0;  // of pieces that need not be tried
  };
  Loss Refuse();
  // Smallest size refused since the batch was begun or Forget(); SIZE_MAX: none.
  size_t refused_bytes() const { return refused_bytes_; }
  // Another collector has another limit.
  void Forget() { refused_bytes_ = SIZE_MAX; }

 private:
  bool Split();

  std::vector<Batch> pieces_;  // the current one last
  size_t refused_bytes_ = SIZE_MAX;
};

}  // namespace spantap
