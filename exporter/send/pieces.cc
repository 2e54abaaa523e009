// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/pieces.h"

#include <algorithm>
#include <utility>

#include "exporter/otlp/request_wire.h"

namespace spantap {

Pieces::Pieces(Batch batch) { pieces_.push_back(std::move(batch)); }

// As SplitRequest() does: the first half is rounded up.
bool Pieces::Split() {
  Batch& whole = pieces_.back();
  Batch first, second;
  if (whole.spans < 2 || !SplitRequest(whole.request, &first.request, &second.request)) return false;
  first.spans = whole.spans - whole.spans / 2;
  second.spans = whole.spans / 2;
  first.spool_id = second.spool_id = whole.spool_id;
  whole = std::move(second);
  pieces_.push_back(std::move(first));
  return true;
}

void Pieces::Fit(size_t max_bytes) {
  while (current().request.size() > max_bytes && Split()) {
  }
}

Batch Pieces::Pop() {
  Batch batch = std::move(pieces_.back());
  pieces_.pop_back();
  return batch;
}

Pieces::Loss Pieces::Refuse() {
  const size_t bytes = current().request.size();
  refused_bytes_ = std::min(refused_bytes_, bytes);
  if (bytes > kSmallBytes && Split()) return {};
  Loss loss;
  loss.current = Pop().spans;
  if (bytes > kSmallBytes) return loss;
  const auto hopeless = [bytes](const Batch& piece) { return piece.request.size() >= bytes; };
  for (const Batch& piece : pieces_) loss.others += hopeless(piece) ? piece.spans : 0;
  pieces_.erase(std::remove_if(pieces_.begin(), pieces_.end(), hopeless), pieces_.end());
  return loss;
}

}  // namespace spantap
