// SPDX-License-Identifier: Apache-2.0
//
// The span ledger: created = acknowledged + sum(dropped by reason) + in_flight + spooled, at all times.
//
// Every span is entered once, by Created() or Recovered(), and leaves once, by Acknowledged() or Dropped(). Spooled
// is a gauge: what lies on disk. What is queued, being sent or waiting for a retry is "in flight", by arithmetic, so
// the balance cannot be faked.
//
// Any thread, no lock. A snapshot taken while spans move balances too, because of two orders: writers take a span
// out of one counter before they put it into the next (Unspooled() before Acknowledged() or Dropped()), readers load
// exits before entries. A span on the move is then seen in flight, never twice and never as less than nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

// Permanent names; append only. DropReasonName() gives the text used in the ledger line and metrics.
enum class DropReason : uint8_t {
  kQueueFull,         // queue_full: the queue had no room
  kTooLarge,          // too_large: one span over the batch limit
  kRejected,          // rejected: partial success said so
  kHttpStatus,        // http_status: an answer that must not be retried
  kBadResponse,       // bad_response: the answer was not understood or too large, and must not be retried
  kRetriesExhausted,  // retries_exhausted: retryable failures for longer than the limit
  kShutdown,          // shutdown: still unsent at the end of the drain
  kEncode,            // encode: could not be encoded (a bug; never expected)
  kNoExporter,        // not_exported: no endpoint was given, or a child of fork() that has no exporter threads
  kGrpcStatus,        // grpc_status: a gRPC status that must not be retried
  kSpoolFull,         // spool_full: the oldest on disk, given up for newer ones
  kSpoolExpired,      // spool_expired: on disk for longer than the limit
  kSpoolDamaged,      // spool_damaged: on disk and no longer readable
  kCount,
};
absl::string_view DropReasonName(DropReason reason);

struct LedgerSnapshot {
  uint64_t created = 0;    // with those recovered
  uint64_t recovered = 0;  // found in the spool at the start
  uint64_t acknowledged = 0;
  uint64_t spooled = 0;
  std::array<uint64_t, static_cast<size_t>(DropReason::kCount)> dropped = {};
  uint64_t total_dropped() const;
  uint64_t in_flight() const { return created - acknowledged - spooled - total_dropped(); }
  // "created=N acknowledged=N in_flight=N spooled=N dropped=N dropped.<reason>=N ..." (non-zero reasons only;
  // recovered=N after created if it is not zero): how the last line on stderr begins.
  std::string Format() const;
};

class Ledger {
 public:
  void Created(uint64_t n = 1) { created_.fetch_add(n, std::memory_order_release); }
  // Found on disk: they are created and spooled.
  void Recovered(uint64_t n) {
    created_.fetch_add(n, std::memory_order_release);
    recovered_.fetch_add(n, std::memory_order_release);
    spooled_.fetch_add(n, std::memory_order_release);
  }
  void Acknowledged(uint64_t n) { acknowledged_.fetch_add(n, std::memory_order_release); }
  void Dropped(DropReason reason, uint64_t n) {
    dropped_[static_cast<size_t>(reason)].fetch_add(n, std::memory_order_release);
  }
  void Spooled(uint64_t n) { spooled_.fetch_add(n, std::memory_order_release); }
  void Unspooled(uint64_t n) { spooled_.fetch_sub(n, std::memory_order_release); }
  LedgerSnapshot Snapshot() const;

 private:
  std::atomic<uint64_t> created_{0}, recovered_{0}, acknowledged_{0}, spooled_{0};
  std::array<std::atomic<uint64_t>, static_cast<size_t>(DropReason::kCount)> dropped_{};
};

}  // namespace spantap
