// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/collector_state.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace spantap {
namespace {

constexpr uint64_t kStateIntervalNs = 10'000'000'000;
constexpr uint64_t kRepeatIntervalNs = 60'000'000'000;

// `last_ns` 0: never logged.
bool Due(uint64_t last_ns, uint64_t now_ns, uint64_t interval_ns) {
  return last_ns == 0 || now_ns - last_ns >= interval_ns;
}

}  // namespace

CollectorState::CollectorState(std::string endpoint, std::function<void(absl::string_view)> log)
    : endpoint_(std::move(endpoint)), log_(std::move(log)) {}

void CollectorState::Enter(State state, uint64_t now_ns, absl::string_view action, absl::string_view cause) {
  static constexpr const char* kNames[] = {"up", "down", "refusing"};
  const absl::Duration lasted = absl::Nanoseconds(now_ns - since_ns_);
  const State before = std::exchange(state_, state);
  if (before != state) {
    since_ns_ = now_ns;
    ++changes_untold_;
  }
  uint64_t& told_ns = told_ns_[static_cast<size_t>(state)];
  if (state_ == told_ || !Due(told_ns, now_ns, kStateIntervalNs)) return;
  std::string line =
      absl::StrCat("collector state=", kNames[static_cast<size_t>(state)], " endpoint=", endpoint_, " ", action);
  if (!cause.empty()) absl::StrAppend(&line, " cause=\"", cause, "\"");
  if (state == State::kUp && before != state) {
    absl::StrAppend(&line, " ", kNames[static_cast<size_t>(before)],
                    "_for=", absl::FormatDuration(absl::Trunc(lasted, absl::Milliseconds(1))));
  }
  if (changes_untold_ > 1) absl::StrAppend(&line, " changes=", changes_untold_);
  log_(line);
  told_ = state;
  told_ns = now_ns;
  changes_untold_ = 0;
}

void CollectorState::Accepted(uint64_t now_ns, const SendResult& result, uint64_t rejected) {
  Enter(State::kUp, now_ns, "action=\"spans are delivered\"", "");
  if ((rejected == 0 && result.message.empty()) || !Due(partial_ns_, now_ns, kRepeatIntervalNs)) return;
  partial_ns_ = now_ns;
  log_(absl::StrCat("collector accepted in part endpoint=", endpoint_, " rejected=", rejected, " message=\"",
                    result.message, "\""));
}

void CollectorState::Refused(uint64_t now_ns, const SendResult& result, uint64_t dropped) {
  // Another status is another cause, and a lasting refusal loses data: said again each minute.
  const uint64_t last_ns = told_ns_[static_cast<size_t>(State::kRefusing)];
  const int status = result.http_status * 100 + result.grpc_status;
  const uint64_t interval_ns = status != told_status_ ? kStateIntervalNs : kRepeatIntervalNs;
  if (told_ == State::kRefusing && Due(last_ns, now_ns, interval_ns)) told_ = State::kUp;  // Enter() tells it again now
  Enter(State::kRefusing, now_ns, absl::StrCat("action=\"spans are dropped\" dropped=", dropped), result.message);
  if (told_ == State::kRefusing) told_status_ = status;
}

void CollectorState::Unavailable(uint64_t now_ns, const SendResult& result) {
  Enter(State::kDown, now_ns, "action=\"spans are kept and retried\"", result.message);
}

void CollectorState::TooLarge(uint64_t now_ns, const SendResult& result, uint64_t bytes) {
  if (!Due(too_large_ns_, now_ns, kRepeatIntervalNs)) return;
  too_large_ns_ = now_ns;
  log_(absl::StrCat("collector takes no batch of this size endpoint=", endpoint_, " bytes=", bytes,
                    " action=\"batches are split\" cause=\"", result.message, "\""));
}

void CollectorState::GaveUp(uint64_t now_ns, uint64_t dropped) {
  if (!Due(gave_up_ns_, now_ns, kRepeatIntervalNs)) return;
  gave_up_ns_ = now_ns;
  log_(absl::StrCat("collector state=down endpoint=", endpoint_, " action=\"gave up on a batch\" dropped=", dropped));
}

}  // namespace spantap
