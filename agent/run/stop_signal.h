// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM and SIGINT ask the run to end in order, SIGHUP to read the configuration again; SIGPIPE is ignored (write
// errors tell). Handlers set a flag and wake the exporter; the event thread's waits are cut short by EINTR. Call
// InstallStopSignals() once, before threads exist.
#pragma once

#include <csignal>

#include "exporter/send/exporter.h"

namespace spantap {

void InstallStopSignals();
bool StopRequested();
bool TakeReloadRequest();  // true once per request

// Whose RequestStop() the handler calls; null: nobody's. On the main thread, the only one that takes signals, so that
// a handler never runs beside the exporter's end.
void SetStopTarget(Exporter* exporter);

// Threads made while one of these lives take none of these signals.
class SignalsHeld {
 public:
  SignalsHeld();
  ~SignalsHeld();
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_;
};

}  // namespace spantap
