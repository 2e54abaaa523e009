// SPDX-License-Identifier: Apache-2.0
//
// /metrics: a RunStatus in Prometheus' text format. Names are the words of the ledger line with Prometheus' suffixes; a
// counter starts again with a reload, as its ledger does. Pure; any thread.
#pragma once

#include <string>

#include "agent/serve/http_server.h"
#include "agent/serve/process_stats.h"
#include "agent/serve/status.h"

namespace spantap {

std::string MetricsText(const RunStatus& status, const ProcessStats& process, const HttpServer::Stats& server);

}  // namespace spantap
