// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/delivery.h"

#include <utility>

namespace spantap {

Delivery::Delivery(Batch batch, Accounts& accounts, Overflow* overflow)
    : accounts_(accounts),
      overflow_(overflow),
      spool_id_(batch.spool_id),
      spans_(batch.spans),
      pieces_(std::move(batch)) {}

void Delivery::Via(const Route* route) {
  if (std::exchange(route_, route) != route) pieces_.Forget();
}

void Delivery::Acknowledged(uint64_t spans) {
  if (!spooled()) return accounts_.Acknowledged(spans);
  acknowledged_ += spans;
}

void Delivery::Dropped(DropReason reason, uint64_t spans) {
  if (!spooled()) return accounts_.Dropped(reason, spans);
  dropped_[static_cast<size_t>(reason)] += spans;
}

void Delivery::Finish() {
  // If a limit was faster, these spans are already counted as lost by it.
  if (!spooled() || !overflow_->Done(*spool_id_)) return;
  accounts_.Unspooled(spans_);
  accounts_.Acknowledged(acknowledged_);
  for (size_t i = 0; i < dropped_.size(); ++i) accounts_.Dropped(static_cast<DropReason>(i), dropped_[i]);
}

}  // namespace spantap
