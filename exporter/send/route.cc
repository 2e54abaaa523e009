// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/route.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "exporter/send/pieces.h"
#include "exporter/send/stop_state.h"

namespace spantap {
namespace {

constexpr double kBackoffFactor = 1.5;
constexpr absl::Duration kLimitLasts = absl::Minutes(10);

// Evenly in [0.5, 1.5): many agents must not come back at once.
double Jitter(IdGenerator& random) {
  uint16_t bits;
  const SpanId id = random.NewSpanId();
  std::memcpy(&bits, id.bytes.data(), sizeof(bits));
  return 0.5 + bits / 65536.0;
}

}  // namespace

Route::Route(std::unique_ptr<Transport> transport, const RetrySettings& retry, IdGenerator& random,
             std::function<void(absl::string_view)> log)
    : transport_(std::move(transport)),
      name_(transport_->Describe()),
      retry_(retry),
      random_(random),
      state_(name_, std::move(log)) {
  absl::MutexLock lock(&mutex_);
  status_.name = name_;
  status_.state = "untried";
}

SendResult Route::Send(absl::string_view request, uint64_t spans, absl::Duration timeout) {
  SendResult result = transport_->Send(request, timeout);
  const uint64_t now_ns = MonoNs();
  up_ = result.kind == SendResult::Kind::kAcknowledged;
  failing_ = result.kind == SendResult::Kind::kRetry;
  Note(result);
  if (failing_) {
    Postpone(result, now_ns);
    state_.Unavailable(now_ns, result);
    return result;
  }
  backoff_ = absl::ZeroDuration();
  backoff_until_ns_ = throttled_until_ns_ = 0;
  if (up_) state_.Accepted(now_ns, result, std::min(result.rejected, spans));
  return result;
}

// Exponential, with jitter and a cap; not before the server's own time, and growing from that.
void Route::Postpone(const SendResult& result, uint64_t now_ns) {
  const absl::Duration asked =
      std::clamp(result.retry_after.value_or(absl::ZeroDuration()), absl::ZeroDuration(), retry_.max);
  backoff_ = backoff_ == absl::ZeroDuration() ? retry_.initial : backoff_ * kBackoffFactor;
  backoff_ = std::min(std::max(backoff_, asked), retry_.max);
  backoff_until_ns_ = After(now_ns, std::min(backoff_ * Jitter(random_), retry_.max));
  throttled_until_ns_ = After(now_ns, asked);
}

void Route::CutBackoff() {
  backoff_ = absl::ZeroDuration();
  backoff_until_ns_ = 0;
}

void Route::LearnLimit(size_t refused_bytes, size_t accepted_bytes) {
  limit_bytes_ = std::max({accepted_bytes, refused_bytes / 2, Pieces::kSmallBytes});
  limit_until_ns_ = After(MonoNs(), kLimitLasts);
}

void Route::Note(const SendResult& result) {
  absl::MutexLock lock(&mutex_);
  ++status_.requests;
  if (result.kind == SendResult::Kind::kAcknowledged) {
    status_.state = "up";
    status_.cause.clear();
    return;
  }
  ++status_.failures;
  status_.state = result.kind == SendResult::Kind::kRetry ? "down" : "refusing";
  status_.cause = result.message;
}

ExporterStatus::Endpoint Route::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

}  // namespace spantap
