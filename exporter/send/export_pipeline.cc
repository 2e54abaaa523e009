// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/export_pipeline.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

#include "base/background.h"
#include "base/clock.h"

namespace spantap {
namespace {

// Of a drain: kept for the disk, and without one for threads to notice the end.
constexpr absl::Duration kMostForSpooling = absl::Seconds(1);
constexpr absl::Duration kMostForEnding = absl::Milliseconds(50);
// A collector that is known to be down gets this much of a drain if there is a disk.
constexpr absl::Duration kMostForDown = absl::Seconds(1);
// Threads that do not hang need some time to see that it is over, however short the drain.
constexpr absl::Duration kLeastForEnding = absl::Milliseconds(100);
constexpr absl::Duration kCancelInterval = absl::Milliseconds(10);

// Signals are the main thread's business.
class WithoutSignals {
 public:
  WithoutSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~WithoutSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

ExportPipeline::ExportPipeline(const ExporterSettings& settings, std::shared_ptr<SpanQueue> queue,
                               std::shared_ptr<Accounts> accounts, std::vector<std::unique_ptr<Transport>> transports,
                               std::unique_ptr<Spool> spool)
    : settings_(settings),
      queue_(std::move(queue)),
      accounts_(std::move(accounts)),
      overflow_(spool == nullptr ? nullptr
                                 : std::make_unique<Overflow>(std::move(spool), settings.spool_bytes_per_s, *accounts_,
                                                              sender_wakeup_)),
      inbox_(2 * settings.batch.max_bytes, sender_wakeup_),
      sender_(settings.retry, settings.request_timeout, std::move(transports), inbox_, overflow_.get(), *accounts_,
              stop_, sender_wakeup_),
      batcher_(settings.batch, settings.limits, *queue_, inbox_, overflow_.get(), *accounts_, stop_,
               [this] { return sender_.all_down(); }) {}

bool ExportPipeline::StartThread(const char* name, Part part) {
  threads_->running.fetch_add(1, std::memory_order_acq_rel);
  const WithoutSignals masked;
  try {
    std::thread thread([self = shared_from_this(), threads = threads_, part]() mutable {
      InterruptNobody();
      (self.get()->*part)();
      self.reset();
      threads->running.fetch_sub(1, std::memory_order_acq_rel);
      threads->ended.Signal();
    });
    pthread_setname_np(thread.native_handle(), name);
    handles_.push_back(std::move(thread));
    return true;
  } catch (const std::system_error&) {
    threads_->running.fetch_sub(1, std::memory_order_acq_rel);
    return false;
  }
}

void ExportPipeline::Start() {
  if (overflow_ != nullptr) overflow_->Recover();
  if (StartThread("spantap-send", &ExportPipeline::RunSender) &&
      StartThread("spantap-batch", &ExportPipeline::RunBatcher))
    return;
  accounts_->Log("export: no thread could be started; spans will be dropped");
}

void ExportPipeline::WakeAll() {
  sender_wakeup_.Signal();
  inbox_.Nudge();
}

void ExportPipeline::RequestStop() {
  stop_.Request();
  queue_->Hurry();
  WakeAll();
}

// drain:  |---- sending ----|-- spooling --|
//         now            send_end       deadline
void ExportPipeline::BeginStop() {
  if (stop_.stopping()) return;
  const uint64_t now_ns = MonoNs();
  const absl::Duration drain = std::max(settings_.drain, absl::ZeroDuration());
  const absl::Duration reserve =
      overflow_ != nullptr ? std::min(drain / 4, kMostForSpooling) : std::min(drain / 20, kMostForEnding);
  absl::Duration sending = drain - reserve;
  if (overflow_ != nullptr && sender_.all_down()) sending = std::min(sending, kMostForDown);
  stop_.Begin(After(now_ns, sending), After(now_ns, drain));
}

void ExportPipeline::Stop() {
  BeginStop();
  queue_->Close();
  WakeAll();
  AwaitThreads(After(MonoNs(), std::max(stop_.TimeLeft(), kLeastForEnding)));
  LeaveThreads();
  // Nothing is in flight any more, unless a thread hangs or never was.
  accounts_->Abandon(*queue_);
}

// Joined if both have counted themselves out: a thread frees what libraries keep for it (OpenSSL's error queue) a
// moment later, which must not run beside exit(). One that hangs must not be waited for.
void ExportPipeline::LeaveThreads() {
  const bool ended = threads_->running.load(std::memory_order_acquire) == 0;
  for (std::thread& thread : handles_) ended ? thread.join() : thread.detach();
  handles_.clear();
}

void ExportPipeline::AwaitThreads(uint64_t give_up_ns) {
  while (threads_->running.load(std::memory_order_acquire) > 0) {
    const absl::Duration left = Until(give_up_ns, MonoNs());
    if (left <= absl::ZeroDuration()) return;
    const absl::Duration send_left = stop_.SendTimeLeft();
    // Again and again: a cancellation may race with the beginning of a request.
    if (send_left <= absl::ZeroDuration()) sender_.Cancel();
    threads_->ended.Wait(std::min(send_left > absl::ZeroDuration() ? send_left : kCancelInterval, left));
  }
}

ExporterStatus ExportPipeline::status() const {
  ExporterStatus status;
  status.endpoints = sender_.status();
  status.queued_spans = queue_->size();
  status.queued_bytes = queue_->bytes();
  status.request_bytes = sender_.request_bytes();
  if (overflow_ != nullptr) status.spool = overflow_->stats();
  return status;
}

}  // namespace spantap
