// SPDX-License-Identifier: Apache-2.0
#include "agent/run/stop_signal.h"

#include <csignal>

namespace spantap {
namespace {
volatile std::sig_atomic_t stop_requested = 0;
volatile std::sig_atomic_t reload_requested = 0;
void OnSignal(int signal) {
  if (signal == SIGHUP) {
    reload_requested = 1;
  } else {
    stop_requested = 1;
  }
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

}  // namespace spantap
