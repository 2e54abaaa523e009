// SPDX-License-Identifier: Apache-2.0
#include "agent/run/stop_signal.h"

#include <pthread.h>

#include <atomic>
#include <cerrno>

namespace spantap {
namespace {

volatile std::sig_atomic_t stop_requested = 0;
volatile std::sig_atomic_t reload_requested = 0;
std::atomic<Exporter*> stop_target{nullptr};
static_assert(std::atomic<Exporter*>::is_always_lock_free);

void OnSignal(int signal) {
  if (signal == SIGHUP) {
    reload_requested = 1;
    return;
  }
  stop_requested = 1;
  const int error = errno;
  if (Exporter* exporter = stop_target.load(std::memory_order_acquire)) exporter->RequestStop();
  errno = error;
}

}  // namespace

void InstallStopSignals() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;  // no SA_RESTART: waits must end
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
}

bool StopRequested() { return stop_requested != 0; }

bool TakeReloadRequest() {
  if (reload_requested == 0) return false;
  reload_requested = 0;
  return true;
}

// A stop that came before there was a target is passed on now.
void SetStopTarget(Exporter* exporter) {
  stop_target.store(exporter, std::memory_order_release);
  if (exporter != nullptr && StopRequested()) exporter->RequestStop();
}

SignalsHeld::SignalsHeld() {
  sigset_t ours;
  sigemptyset(&ours);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ours, signal);
  pthread_sigmask(SIG_BLOCK, &ours, &before_);
}

SignalsHeld::~SignalsHeld() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

}  // namespace spantap
