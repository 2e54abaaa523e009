// SPDX-License-Identifier: Apache-2.0
//
// The export thread: queue -> batch -> encode -> send -> ledger, with retries as the OTLP
// specification says (jittered exponential backoff, Retry-After honoured and clamped) and a drain with
// a hard deadline at the end.
//
// Start() and Stop() from one thread. Memory: one batch and its encoding (Settings::max_batch_bytes each).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "exporter/send/ledger.h"
#include "exporter/send/span_queue.h"
#include "exporter/transport/transport.h"

namespace spantap {

class ExportLoop {
 public:
  struct Settings {
    size_t max_batch_spans = 512;
    size_t max_batch_bytes = 3'500'000;                  // uncompressed; collectors accept 4 MiB
    absl::Duration max_delay = absl::Milliseconds(500);  // span age at which a small batch is sent
    absl::Duration request_timeout = absl::Seconds(10);
    absl::Duration retry_initial = absl::Milliseconds(500);
    absl::Duration retry_max = absl::Seconds(30);
    absl::Duration retry_give_up = absl::Minutes(5);  // per batch
    absl::Duration drain = absl::Seconds(5);
  };
  // `log` gets one line per event worth a person's attention, already rate-limited; never null.
  ExportLoop(const Settings& settings, SpanQueue& queue, Ledger& ledger, std::unique_ptr<Transport> transport,
             std::function<void(absl::string_view)> log);
  ~ExportLoop();  // Stop()

  void Start();
  // Closes the queue, sends what is left for at most Settings::drain, counts the rest as dropped
  // (shutdown). Returns when the thread has ended; idempotent.
  void Stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spantap
