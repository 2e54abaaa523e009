// SPDX-License-Identifier: Apache-2.0
#include "agent/run/exporting.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/run/log.h"
#include "agent/run/stop_signal.h"
#include "base/status_macros.h"

namespace spantap {
namespace {

void LogEndpoints(const ExporterSettings& settings) {
  for (const TransportSettings& transport : settings.endpoints) {
    Log(LogLevel::kInfo, "exporting",
        absl::StrCat("endpoint=", transport.endpoint.for_people,
                     " protocol=", ProtocolName(transport.endpoint.protocol)));
  }
  if (settings.spool) {
    Log(LogLevel::kInfo, "spooling", absl::StrCat("dir=\"", absl::CHexEscape(settings.spool->dir), "\""));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Exporter>> MakeExporterFor(const Settings& settings, Ledger& ledger) {
  if (settings.disabled || settings.exporter.endpoints.empty()) return nullptr;
  const SignalsHeld held;
  SPANTAP_ASSIGN_OR_RETURN(auto exporter, Exporter::Create(settings.exporter, ledger,
                                                           [](absl::string_view line) { Log(LogLevel::kWarn, line); }));
  LogEndpoints(settings.exporter);
  return exporter;
}

void StartExporter(Exporter& exporter) {
  const SignalsHeld held;
  exporter.Start();
  SetStopTarget(&exporter);
}

absl::Status CheckDelivered(const Exporter& exporter, const LedgerSnapshot& spans) {
  const uint64_t safe = spans.acknowledged + spans.spooled;
  if (safe == spans.created) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(exporter.status().endpoints[0].name, ": ", spans.created - safe, " of ",
                                             spans.created, " spans were not accepted; the ledger says why"));
}

}  // namespace spantap
