// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/driver_options.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace spantap {
namespace {

Protocol ProtocolOf(const std::string& name) {
  return name == "grpc" ? Protocol::kGrpc : name == "http/json" ? Protocol::kHttpJson : Protocol::kHttpProtobuf;
}
Compression CompressionOf(const std::string& name) {
  return name == "gzip" ? Compression::kGzip : name == "zstd" ? Compression::kZstd : Compression::kNone;
}

}  // namespace

void DriverOptions::AddTo(CLI::App& app) {
  app.add_option("--seed", seed, "of the made spans")->check(CLI::PositiveNumber);
  app.add_option("--first", first, "index of the first span");
  app.add_option("--spans", spans, "how many");
  app.add_option("--filler", filler, "bytes more in each span");
  app.add_option("--rate", rate, "spans a second; 0: as fast as possible");
  app.add_flag("--back-pressure", back_pressure, "wait while the queue is full");
  app.add_option("--chunk", chunk, "spans made and queued at once")->check(CLI::PositiveNumber);
  app.add_option("--end", end, "stop: when all are made; settled: when none is in flight or spooled; wait: for SIGTERM")
      ->check(CLI::IsMember({"stop", "settled", "wait"}));
  app.add_option("--settle-ms", settle_ms, "longest wait of --end settled");
  app.add_option("--status-ms", status_ms, "between status lines; 0: none");
  app.add_option("--audit", audit, "file of the spans acknowledged to disk");

  app.add_option("--endpoint", endpoints, "collector; repeatable")->required()->allow_extra_args(false);
  app.add_option("--protocol", protocol, "")->check(CLI::IsMember({"http/protobuf", "http/json", "grpc"}));
  app.add_option("--compression", compression, "")->check(CLI::IsMember({"none", "gzip", "zstd"}));
  app.add_flag("--signal-endpoint", signal_endpoint, "take the path as it is");
  app.add_flag("--insecure", insecure, "a gRPC endpoint without scheme is plaintext");
  app.add_option("--header", headers, "NAME=VALUE; repeatable")->allow_extra_args(false);
  app.add_option("--ca", tls.ca_file, "");
  app.add_option("--cert", tls.certificate_file, "");
  app.add_option("--key", tls.key_file, "");
  app.add_option("--server-name", tls.server_name, "");
  app.add_option("--proxy", proxy, "");
  app.add_option("--max-response-bytes", max_response_bytes, "");
  app.add_option("--timeout-ms", timeout_ms, "of a request");
  app.add_option("--queue-spans", queue_spans, "");
  app.add_option("--queue-bytes", queue_bytes, "");
  app.add_option("--batch-target", batch_target, "");
  app.add_option("--batch-spans", batch_spans, "");
  app.add_option("--batch-bytes", batch_bytes, "");
  app.add_option("--delay-ms", delay_ms, "age at which a small batch is sent");
  app.add_option("--retry-initial-ms", retry_initial_ms, "");
  app.add_option("--retry-max-ms", retry_max_ms, "");
  app.add_option("--give-up-ms", give_up_ms, "");
  app.add_option("--drain-ms", drain_ms, "");
  app.add_option("--limit-attributes", limits.attributes, "");
  app.add_option("--limit-events", limits.events, "");
  app.add_option("--limit-links", limits.links, "");
  app.add_option("--limit-event-attributes", limits.event_attributes, "");
  app.add_option("--limit-link-attributes", limits.link_attributes, "");
  app.add_option("--limit-characters", limits.value_characters, "of a string value");
  app.add_option("--spool", spool.dir, "folder; none: no spool");
  app.add_option("--spool-bytes", spool.max_bytes, "");
  app.add_option("--spool-age-s", spool_age_s, "");
  app.add_option("--spool-segment", spool.segment_bytes, "");
  app.add_option("--spool-batches", spool.max_batches, "");
  app.add_option("--spool-rate", spool_rate, "bytes a second of a backlog");
}

absl::StatusOr<ExporterSettings> DriverOptions::Settings() const {
  ExporterSettings settings;
  for (const std::string& text : endpoints) {
    TransportSettings transport;
    const EndpointForm form = signal_endpoint ? EndpointForm::kSignal : EndpointForm::kBase;
    SPANTAP_ASSIGN_OR_RETURN(transport.endpoint, ParseEndpoint(text, ProtocolOf(protocol), form, insecure));
    transport.compression = CompressionOf(compression);
    for (const std::string& header : headers) {
      const size_t equals = header.find('=');
      if (equals == std::string::npos) return absl::InvalidArgumentError("--header: use NAME=VALUE");
      transport.headers.emplace_back(header.substr(0, equals), header.substr(equals + 1));
    }
    transport.tls = tls;
    transport.proxy = proxy;
    transport.max_response_bytes = max_response_bytes;
    settings.endpoints.push_back(std::move(transport));
  }
  settings.request_timeout = absl::Milliseconds(timeout_ms);
  settings.queue = {queue_spans, queue_bytes};
  settings.batch = {batch_target, batch_spans, batch_bytes, absl::Milliseconds(delay_ms)};
  settings.retry = {absl::Milliseconds(retry_initial_ms), absl::Milliseconds(retry_max_ms),
                    absl::Milliseconds(give_up_ms)};
  settings.drain = absl::Milliseconds(drain_ms);
  settings.limits = limits;
  settings.spool_bytes_per_s = spool_rate;
  if (!spool.dir.empty()) {
    settings.spool = spool;
    settings.spool->max_age = absl::Seconds(spool_age_s);
  }
  return settings;
}

}  // namespace spantap
