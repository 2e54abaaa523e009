// SPDX-License-Identifier: Apache-2.0
#include "agent/run/recording.h"

namespace spantap {

void Recording::OnEvent(const EventView& event) {
  writer_->OnEvent(event);
  if (event.header->type < SPANTAP_EVENT_PROCESS && writer_->status().ok()) ++captured_;
}

}  // namespace spantap
