// SPDX-License-Identifier: Apache-2.0
//
// A Transport that answers from a script or by a function, and remembers what it was asked. For the tests of the
// exporter: no network, and each Send() may also wait, to be cut off by its timeout or Cancel(), or by neither.
//
// Owned by the exporter under test; the test keeps the shared FakeWire.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "exporter/transport/transport.h"

namespace spantap {

struct FakeStep {
  SendResult result;
  absl::Duration takes = absl::ZeroDuration();  // longer than the timeout: no answer
  bool deaf = false;                            // takes all of that time, whatever the timeout and Cancel() say
};

class FakeWire {
 public:
  struct Call {
    std::string body;
    absl::Duration timeout;
    uint64_t at_ns;
  };

  using Answer = std::function<FakeStep(absl::string_view request)>;
  // Instead of a script. Called under the wire's lock, on the sender's thread.
  void AnswerBy(Answer answer) {
    absl::MutexLock lock(&mutex_);
    answer_ = std::move(answer);
  }
  // The last step is repeated for ever; without any, everything is acknowledged.
  void Script(std::vector<FakeStep> steps) {
    absl::MutexLock lock(&mutex_);
    steps_.assign(steps.begin(), steps.end());
  }
  std::vector<Call> calls() {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }
  bool WaitForCalls(size_t n, absl::Duration at_most = absl::Seconds(20)) {
    absl::MutexLock lock(&mutex_);
    const auto reached = [this, n]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return calls_.size() >= n; };
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), at_most);
  }
  int cancels() {
    absl::MutexLock lock(&mutex_);
    return cancels_;
  }

  SendResult Send(absl::string_view body, absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    calls_.push_back({std::string(body), timeout, MonoNs()});
    FakeStep step;
    step.result.kind = SendResult::Kind::kAcknowledged;
    if (!steps_.empty()) step = steps_.front();
    if (steps_.size() > 1) steps_.pop_front();
    if (answer_) step = answer_(body);
    if (step.takes == absl::ZeroDuration()) return step.result;
    cancelled_ = false;
    if (step.deaf) {
      const bool never = false;
      mutex_.AwaitWithTimeout(absl::Condition(&never), step.takes);
      return step.result;
    }
    mutex_.AwaitWithTimeout(absl::Condition(&cancelled_), std::min(step.takes, timeout));
    if (step.takes <= timeout && !cancelled_) return step.result;
    SendResult none;
    none.message = cancelled_ ? "cancelled" : "timed out";
    return none;
  }
  void Cancel() {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    ++cancels_;
  }

 private:
  absl::Mutex mutex_;
  Answer answer_ ABSL_GUARDED_BY(mutex_);
  std::deque<FakeStep> steps_ ABSL_GUARDED_BY(mutex_);
  std::vector<Call> calls_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  int cancels_ ABSL_GUARDED_BY(mutex_) = 0;
};

class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(std::shared_ptr<FakeWire> wire, std::string name = "fake://collector")
      : wire_(std::move(wire)), name_(std::move(name)) {}
  SendResult Send(absl::string_view body, absl::Duration timeout) override { return wire_->Send(body, timeout); }
  void Cancel() override { wire_->Cancel(); }
  std::string Describe() const override { return name_; }

 private:
  std::shared_ptr<FakeWire> wire_;  // shared with the test, which outlives the exporter or not
  const std::string name_;
};

}  // namespace spantap
