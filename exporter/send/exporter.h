// SPDX-License-Identifier: Apache-2.0
//
// The way out as one object: queue -> batcher -> sender -> collectors, with the spool beside them. The agent makes
// one; so may any program that has spans (tests/tools/export_driver.cc is the smallest).
//
// Create(), Start() and Stop() on one thread; queue() from any thread; RequestStop() from any thread and from signal
// handlers. After fork() only the parent exports: in the child every call returns at once and nothing is sent.
// Memory: README.md has the sum of the bounds.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "exporter/model/limits.h"
#include "exporter/send/ledger.h"
#include "exporter/send/span_queue.h"
#include "exporter/spool/spool.h"
#include "exporter/transport/settings.h"

namespace spantap {

struct BatchSettings {
  size_t target_spans = 512;                           // a batch is sent when this many wait (4 times it under load)...
  size_t max_spans = 4096;                             // ...with as many as wait by then, up to this
  size_t max_bytes = 3'500'000;                        // encoded, uncompressed; collectors accept 4 MiB
  absl::Duration max_delay = absl::Milliseconds(500);  // age at which a small batch is sent
};

struct RetrySettings {
  absl::Duration initial = absl::Milliseconds(500);
  absl::Duration max = absl::Seconds(30);     // of one wait, Retry-After and RetryInfo included
  absl::Duration give_up = absl::Minutes(5);  // per batch; with a spool it goes there instead
};

struct ExporterSettings {
  std::vector<TransportSettings> endpoints;  // at least one; the first that works is used
  absl::Duration request_timeout = absl::Seconds(10);
  SpanQueue::Limits queue;
  BatchSettings batch;
  RetrySettings retry;
  absl::Duration drain = absl::Seconds(5);  // of Stop(): sending and spooling together
  SpanLimits limits;
  std::optional<Spool::Settings> spool;
  uint64_t spool_bytes_per_s = 4 << 20;  // how fast a backlog is sent
};

// For /readyz, /metrics and people. A copy.
struct ExporterStatus {
  struct Endpoint {
    std::string name;       // no credentials
    std::string state;      // "untried", "up", "down", "refusing"
    std::string cause;      // of the last failure, while not up
    uint64_t requests = 0;  // sent, retries included
    uint64_t failures = 0;  // of these
  };
  std::vector<Endpoint> endpoints;
  uint64_t queued_spans = 0;
  uint64_t queued_bytes = 0;
  uint64_t request_bytes = 0;  // encoded, before compression, acknowledged
  std::optional<Spool::Stats> spool;
};

class Exporter {
 public:
  // `log` gets one line per event worth a person's attention, already rate-limited; never null. InvalidArgument: a
  // setting cannot be used. A spool folder that cannot be written is logged and done without. `ledger` is this
  // exporter's alone; both must outlive it.
  static absl::StatusOr<std::unique_ptr<Exporter>> Create(const ExporterSettings& settings, Ledger& ledger,
                                                          std::function<void(absl::string_view)> log);
  virtual ~Exporter() = default;  // Stop()

  virtual SpanQueue& queue() = 0;
  virtual void Start() = 0;
  // Ends the waiting for traffic and for backoffs; Stop() has still to be called. Async-signal-safe.
  virtual void RequestStop() = 0;
  // Closes the queue, sends what is left for at most `drain`, spools the rest or drops it (shutdown). Idempotent.
  virtual void Stop() = 0;
  virtual ExporterStatus status() const = 0;
};

}  // namespace spantap
