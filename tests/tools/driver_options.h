// SPDX-License-Identifier: Apache-2.0
//
// The command line of export_driver: every ExporterSettings as a flag, with short defaults fit for tests, and what
// spans to make when. Values; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "exporter/send/exporter.h"

namespace CLI {
class App;
}

namespace spantap {

struct DriverOptions {
  // Spans.
  uint32_t seed = 1;
  uint32_t first = 0;
  uint32_t spans = 1000;
  uint32_t filler = 0;
  double rate = 0;
  bool back_pressure = false;
  uint32_t chunk = 64;
  // The end.
  std::string end = "settled";
  uint32_t settle_ms = 10000;
  // Reports.
  uint32_t status_ms = 0;
  std::string audit;
  // The exporter, as text and numbers; Settings() makes the rest of it.
  std::vector<std::string> endpoints;
  std::string protocol = "http/protobuf";
  std::string compression = "none";
  bool signal_endpoint = false;
  bool insecure = false;
  std::vector<std::string> headers;
  TlsSettings tls;
  std::string proxy;
  size_t max_response_bytes = 64 << 10;
  uint32_t timeout_ms = 2000, delay_ms = 20;
  uint32_t retry_initial_ms = 20, retry_max_ms = 30000, give_up_ms = 300000, drain_ms = 2000;
  size_t queue_spans = 8192, queue_bytes = 16 << 20;
  size_t batch_target = 512, batch_spans = 4096, batch_bytes = 3'500'000;
  SpanLimits limits;
  Spool::Settings spool;
  uint32_t spool_age_s = 86400;
  uint64_t spool_rate = 64 << 20;

  void AddTo(CLI::App& app);
  // InvalidArgument in words.
  absl::StatusOr<ExporterSettings> Settings() const;
};

}  // namespace spantap
