// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM and SIGINT ask the run to end in order, SIGHUP to read the configuration again; SIGPIPE is
// ignored (write errors tell). Handlers only set a flag; waits are cut short by EINTR. Call
// InstallStopSignals() once, before threads exist.
#pragma once

namespace spantap {

void InstallStopSignals();
bool StopRequested();
bool TakeReloadRequest();  // true once per request

}  // namespace spantap
