// SPDX-License-Identifier: Apache-2.0
//
// One endpoint as the sender sees it: its transport, when it may be tried again, how large a request it takes, and
// what a person is told about it.
//
// state      left by                                    usable
// untried    the first answer or failure                yes
// up         a failure; a refusal                       yes
// down       an answer                                  when the backoff and the throttle have passed
// refusing   (answers, but with what must not be sent   yes: each batch is its own question
//            again) an acknowledgement; a failure
//
// On the sender's thread, but for Cancel() and status().
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "exporter/model/trace_context.h"
#include "exporter/send/collector_state.h"
#include "exporter/send/exporter.h"
#include "exporter/transport/transport.h"

namespace spantap {

class Route {
 public:
  // `random`: of the jitter; outlives the route, same thread.
  Route(std::unique_ptr<Transport> transport, const RetrySettings& retry, IdGenerator& random,
        std::function<void(absl::string_view)> log);

  // One request. Sets the backoff after a retryable failure and clears it after any answer; tells the collector's
  // state, except for what the caller has still to decide: Refused().
  SendResult Send(absl::string_view request, uint64_t spans, absl::Duration timeout);
  // `spans` are dropped because of `result`.
  void Refused(const SendResult& result, uint64_t spans) { state_.Refused(MonoNs(), result, spans); }
  void GaveUp(uint64_t spans) { state_.GaveUp(MonoNs(), spans); }
  // A request of `refused_bytes` was too large, one of `accepted_bytes` is not: for the next ten minutes requests over
  // that, or over half of what was refused, are split before sending.
  void LearnLimit(size_t refused_bytes, size_t accepted_bytes);
  void TooLarge(const SendResult& result, size_t bytes) { state_.TooLarge(MonoNs(), result, bytes); }
  size_t max_request_bytes(uint64_t now_ns) const { return now_ns < limit_until_ns_ ? limit_bytes_ : SIZE_MAX; }

  // When it may be tried; in the past: now.
  uint64_t usable_ns() const { return std::max(backoff_until_ns_, throttled_until_ns_); }
  bool failing() const { return failing_; }
  bool up() const { return up_; }
  // The end is near: try once more now. A throttle that the server asked for holds.
  void CutBackoff();

  void Cancel() { transport_->Cancel(); }
  const std::string& name() const { return name_; }
  ExporterStatus::Endpoint status() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Postpone(const SendResult& result, uint64_t now_ns);
  void Note(const SendResult& result) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::unique_ptr<Transport> transport_;
  const std::string name_;
  const RetrySettings retry_;
  IdGenerator& random_;
  CollectorState state_;
  bool up_ = false;
  bool failing_ = false;    // the last request came to nothing
  absl::Duration backoff_;  // before the last retry, without jitter; zero: none failed
  uint64_t backoff_until_ns_ = 0;
  uint64_t throttled_until_ns_ = 0;  // Retry-After or RetryInfo
  size_t limit_bytes_ = SIZE_MAX;
  uint64_t limit_until_ns_ = 0;

  mutable absl::Mutex mutex_;
  ExporterStatus::Endpoint status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spantap
