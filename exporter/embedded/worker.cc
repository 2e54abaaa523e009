// SPDX-License-Identifier: Apache-2.0
//
// What the host's threads do: make a ring, start the thread, wait for it.
#include "exporter/embedded/worker.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <climits>
#include <utility>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "exporter/send/stop_state.h"

namespace spantap {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(2);
// Beyond the drain, for a thread that hangs.
constexpr absl::Duration kGrace = absl::Milliseconds(300);
// A thread that was interrupted by exit() in a signal handler may hold the lock for ever.
constexpr absl::Duration kLockPatience = absl::Milliseconds(100);

ProducerFacts FactsHere(const EmbeddedSettings& settings) {
  ProducerFacts facts;
  facts.pid = static_cast<uint32_t>(getpid());
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  if (size > 0) facts.executable.assign(path, static_cast<size_t>(size));
  facts.service_name = settings.service_name;
  facts.resource_attributes = settings.resource_attributes;
  return facts;
}

uint64_t Settled(const LedgerSnapshot& ledger) { return ledger.created - ledger.in_flight(); }

}  // namespace

Worker::Worker(const EmbeddedSettings& settings) : settings_(settings) { guard_.Arm(); }

int Worker::Connect(absl::string_view hello) {
  UniqueFd producer_end;
  std::unique_ptr<Source> source = Source::Make(hello, FactsHere(settings_), &producer_end);
  if (source == nullptr) return -1;
  HostLock lock(&mutex_);
  if (closed_ || count_ >= kMaxSources || !StartThread()) return -1;
  arrivals_.push_back(std::move(source));
  ++count_;
  wakeup_.Signal();
  return producer_end.Release();
}

bool Worker::StartThread() {
  if (started_) return true;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);    // the thread inherits it: signals are the host's
  if (joinable_) pthread_join(thread_, nullptr);  // it has left, but for what libraries do at a thread's end
  const auto run = [](void* worker) -> void* {
    static_cast<Worker*>(worker)->Run();
    return nullptr;
  };
  started_ = joinable_ = pthread_create(&thread_, nullptr, run, this) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started_;
}

bool Worker::Flush(absl::Duration timeout) {
  const uint64_t deadline_ns = After(MonoNs(), timeout);
  const uint64_t turn = turns_.load(std::memory_order_acquire);
  wakeup_.Signal();
  // A turn that was going on may have taken spans that are not in the ledger yet.
  bool entered = false;
  uint64_t target = 0;
  for (;; absl::SleepFor(kPause)) {
    if (!entered && (turns_.load(std::memory_order_acquire) != turn || ended_.load(std::memory_order_acquire))) {
      entered = true;
      target = ledger_.Snapshot().created;
    }
    if (entered && Settled(ledger_.Snapshot()) >= target) return true;
    if (entered) {
      HostLock lock(&mutex_);
      if (exporter_ != nullptr) exporter_->queue().Nudge();
    }
    if (MonoNs() >= deadline_ns) return false;
  }
}

// The thread is joined, and not only seen to be done: OpenSSL frees what it keeps for a thread a moment later, which
// must not run beside the end of OpenSSL itself. One that hangs is left behind.
void Worker::Stop() {
  const uint64_t now_ns = MonoNs();
  while (!mutex_.TryLock()) {
    if (MonoNs() >= After(now_ns, kLockPatience)) return;
    absl::SleepFor(kPause);
  }
  closed_ = true;
  stopping_.store(true, std::memory_order_release);
  const bool joinable = std::exchange(joinable_, false);
  const pthread_t thread = thread_;
  mutex_.Unlock();
  if (!joinable) return;
  wakeup_.Signal();
  const timespec deadline = absl::ToTimespec(absl::Nanoseconds(After(now_ns, settings_.exporter.drain + kGrace)));
  if (pthread_clockjoin_np(thread, nullptr, CLOCK_MONOTONIC, &deadline) != 0) pthread_detach(thread);
}

}  // namespace spantap
