// SPDX-License-Identifier: Apache-2.0
//
// The sender thread: one batch and one request at a time. Fresh batches from the inbox, between them those of the
// overflow; the first endpoint in order that may be tried; again, later, elsewhere, in halves or not at all, as the
// answer says. Everything that happens to a batch after it is encoded is decided here.
//
// One thread runs Run(); Cancel(), all_down() and status() from any. Memory: one batch, and while it is split a copy
// of the piece.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "exporter/model/trace_context.h"
#include "exporter/send/accounts.h"
#include "exporter/send/delivery.h"
#include "exporter/send/exporter.h"
#include "exporter/send/inbox.h"
#include "exporter/send/overflow.h"
#include "exporter/send/route.h"
#include "exporter/send/stop_state.h"
#include "exporter/send/wakeup.h"

namespace spantap {

class Sender {
 public:
  // `overflow`: nullptr without a spool. `wakeup` is this thread's own: inbox, overflow and stop signal it.
  Sender(const RetrySettings& retry, absl::Duration request_timeout, std::vector<std::unique_ptr<Transport>> transports,
         Inbox& inbox, Overflow* overflow, Accounts& accounts, const StopState& stop, Wakeup& wakeup);

  // Until the inbox is closed and empty. What cannot be sent by then is spooled or dropped.
  void Run();
  // Makes a request in progress end soon; it may race with the beginning of the next one.
  void Cancel();
  // The last attempt found no endpoint that could be tried.
  bool all_down() const { return all_down_.load(std::memory_order_acquire); }
  std::vector<ExporterStatus::Endpoint> status() const;
  uint64_t request_bytes() const { return request_bytes_.load(std::memory_order_relaxed); }

 private:
  std::optional<Batch> Next();
  std::optional<Batch> TryNext();
  absl::Duration BacklogWait() const;
  void Deliver(Batch batch);
  Route* AwaitRoute(const Delivery& delivery);
  bool NothingToWaitFor(const Delivery& delivery, absl::Duration wait);
  void Attempt(Delivery& delivery, Route& route);
  void Refuse(Delivery& delivery, Route& route, SendResult result);
  void Drop(Delivery& delivery, Route& route, const SendResult& result, DropReason reason, uint64_t spans);
  void PutAway(Delivery& delivery);
  void PutBack(Delivery& delivery);
  void Recycle(Delivery& delivery);
  void NoticeStop();
  Route* FirstUsable(uint64_t now_ns);
  uint64_t EarliestUsableNs() const;
  absl::Duration TimeoutFor(const Route& route) const;

  const RetrySettings retry_;
  const absl::Duration request_timeout_;
  RandomIds random_;
  std::vector<std::unique_ptr<Route>> routes_;  // in order of preference; at least one
  Inbox& inbox_;
  Overflow* const overflow_;
  Accounts& accounts_;
  const StopState& stop_;
  Wakeup& wakeup_;
  bool last_was_fresh_ = false;
  uint64_t delivered_ = 0;   // acknowledged requests
  bool hurried_ = false;     // the backoffs have been cut for RequestStop()
  bool draining_ = false;    // and for Stop()
  bool spool_only_ = false;  // the last round of attempts failed: the rest goes to disk
  std::atomic<bool> all_down_{false};
  std::atomic<uint64_t> request_bytes_{0};
};

}  // namespace spantap
