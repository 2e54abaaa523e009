// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/ledger.h"

#include "absl/strings/str_cat.h"

namespace spantap {

absl::string_view DropReasonName(DropReason reason) {
  switch (reason) {
    case DropReason::kQueueFull:
      return "queue_full";
    case DropReason::kTooLarge:
      return "too_large";
    case DropReason::kRejected:
      return "rejected";
    case DropReason::kHttpStatus:
      return "http_status";
    case DropReason::kBadResponse:
      return "bad_response";
    case DropReason::kRetriesExhausted:
      return "retries_exhausted";
    case DropReason::kShutdown:
      return "shutdown";
    case DropReason::kEncode:
      return "encode";
    case DropReason::kNoExporter:
      return "not_exported";
    case DropReason::kGrpcStatus:
      return "grpc_status";
    case DropReason::kSpoolFull:
      return "spool_full";
    case DropReason::kSpoolExpired:
      return "spool_expired";
    case DropReason::kSpoolDamaged:
      return "spool_damaged";
    case DropReason::kCount:
      break;
  }
  return "unknown";
}

uint64_t LedgerSnapshot::total_dropped() const {
  uint64_t total = 0;
  for (const uint64_t n : dropped) total += n;
  return total;
}

std::string LedgerSnapshot::Format() const {
  std::string line = absl::StrCat("created=", created);
  if (recovered != 0) absl::StrAppend(&line, " recovered=", recovered);
  absl::StrAppend(&line, " acknowledged=", acknowledged, " in_flight=", in_flight(), " spooled=", spooled,
                  " dropped=", total_dropped());
  for (size_t i = 0; i < dropped.size(); ++i) {
    if (dropped[i] == 0) continue;
    absl::StrAppend(&line, " dropped.", DropReasonName(static_cast<DropReason>(i)), "=", dropped[i]);
  }
  return line;
}

LedgerSnapshot Ledger::Snapshot() const {
  // Exits, then the gauge, then entries: see ledger.h. (Each load acquires what its counter's writer released, and
  // with it the counters that the writer changed before.)
  LedgerSnapshot snapshot;
  for (size_t i = 0; i < dropped_.size(); ++i) snapshot.dropped[i] = dropped_[i].load(std::memory_order_acquire);
  snapshot.acknowledged = acknowledged_.load(std::memory_order_acquire);
  snapshot.spooled = spooled_.load(std::memory_order_acquire);
  snapshot.recovered = recovered_.load(std::memory_order_acquire);
  snapshot.created = created_.load(std::memory_order_acquire);
  return snapshot;
}

}  // namespace spantap
