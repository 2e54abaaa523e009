// SPDX-License-Identifier: Apache-2.0
//
// The batcher thread: takes spans from the queue when there are enough or they are old enough, applies the limits,
// encodes them, splits what is over the batch limit, and hands the batches to the sender's inbox; with a spool, what
// the inbox has no room for goes to disk.
//
// One thread runs Run(). Memory: one batch of spans and its encoding.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "exporter/model/limits.h"
#include "exporter/model/span.h"
#include "exporter/otlp/otlp_encoder.h"
#include "exporter/send/accounts.h"
#include "exporter/send/exporter.h"
#include "exporter/send/inbox.h"
#include "exporter/send/overflow.h"
#include "exporter/send/span_queue.h"
#include "exporter/send/stop_state.h"

namespace spantap {

class Batcher {
 public:
  // `overflow`: nullptr without a spool. `all_down`: no collector is expected to take anything soon.
  Batcher(const BatchSettings& settings, const SpanLimits& limits, SpanQueue& queue, Inbox& inbox, Overflow* overflow,
          Accounts& accounts, const StopState& stop, std::function<bool()> all_down);

  // Until the queue is closed and empty, or the time to stop is over. Closes the inbox at the end.
  void Run();

 private:
  bool Gather(std::vector<Span>& batch);
  void Export(absl::Span<const Span> spans);
  void HandOver(absl::string_view request, uint64_t spans);
  bool WaitInMemory() const;
  void RescueInbox();

  const BatchSettings settings_;
  const SpanLimits limits_;
  SpanQueue& queue_;
  Inbox& inbox_;
  Overflow* const overflow_;
  Accounts& accounts_;
  const StopState& stop_;
  const std::function<bool()> all_down_;
  OtlpEncoder encoder_{SPANTAP_VERSION};
  uint64_t last_ns_ = 0;  // of the last batch; 0: none
  size_t target_spans_;   // what is waited for: more while spans come fast
};

}  // namespace spantap
