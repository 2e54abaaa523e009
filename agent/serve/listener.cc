// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/listener.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "agent/serve/health.h"
#include "agent/serve/ledger_line.h"
#include "agent/serve/listen_address.h"
#include "agent/serve/metrics.h"
#include "agent/serve/process_stats.h"
#include "base/clock.h"
#include "base/status_macros.h"

namespace spantap {
namespace {

constexpr char kPaths[] =
    "paths:\n"
    "/metrics  counters and gauges, Prometheus' text format\n"
    "/healthz  200 while the agent turns\n"
    "/readyz   200 while capture is attached and a collector takes spans\n"
    "/ledger   the ledger, JSON\n";

HttpResponse FromHealth(const HealthAnswer& answer) {
  HttpResponse response;
  response.status = answer.good ? 200 : 503;
  response.body = absl::StrCat(answer.reason, "\n");
  return response;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(absl::string_view text, const StatusBoard& board) {
  SPANTAP_ASSIGN_OR_RETURN(const ListenAddress address, ParseListenAddress(text));
  SPANTAP_ASSIGN_OR_RETURN(UniqueFd fd, OpenListener(address, text));
  auto listener = absl::WrapUnique(new Listener(std::move(fd), text, address.loopback, board));
  const Listener* const self = listener.get();
  if (!listener->server_.Start([self](absl::string_view path) { return self->Answer(path); })) {
    return absl::UnavailableError(absl::StrCat("--listen ", text, ": no thread or no descriptor to be had for it"));
  }
  return listener;
}

Listener::Listener(UniqueFd fd, absl::string_view text, bool loopback, const StatusBoard& board)
    : text_(text),
      address_(BoundAddress(fd.get())),
      loopback_(loopback),
      board_(board),
      server_(std::move(fd), HttpServer::Limits{}) {}

HttpResponse Listener::Answer(absl::string_view path) const {
  const uint64_t now_ns = MonoNs();
  if (path == "/healthz") return FromHealth(Health(board_.TurnAge(now_ns)));
  if (path == "/readyz") return FromHealth(Readiness(board_.Read(now_ns)));
  if (path == "/ledger") return {200, "application/json", LedgerJson(board_.Read(now_ns))};
  if (path == "/metrics") {
    return {200, "text/plain; version=0.0.4; charset=utf-8",
            MetricsText(board_.Read(now_ns), ReadProcessStats(), server_.stats())};
  }
  return {404, "text/plain; charset=utf-8", kPaths};
}

}  // namespace spantap
