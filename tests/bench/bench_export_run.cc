// SPDX-License-Identifier: Apache-2.0
//
// The whole exporter as a process, steered by lines on stdin, so that bench_export.py can read its CPU time from
// outside, as it reads the rival's:
//
//     bench_export_run ENDPOINT http/protobuf|grpc none|gzip|zstd
//     stdin:  "push N"     N spans as fast as the queue takes them; answers "done N" when all are acknowledged
//             "rate R S"   R spans a second for S seconds, a step each 10 ms; answers likewise
//     end of input: stops, prints the ledger line.
//
// Each span is built from prepared values, attribute by attribute, as a producer does (rivals/opentelemetry_cpp.cc does
// the same). Exit 1 if a span was lost.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

#include "base/clock.h"
#include "exporter/send/exporter.h"
#include "tests/bench/bench_export_spans.h"

namespace spantap {
namespace {

class Driver {
 public:
  explicit Driver(const ExporterSettings& settings) : max_queued_(settings.queue.max_spans) {
    exporter_ = Exporter::Create(settings, ledger_, [](absl::string_view line) {
                  std::fprintf(stderr, "%s\n", std::string(line).c_str());
                }).value();
    exporter_->Start();
  }

  void Push(size_t count) {
    for (size_t n = 0; n < count; n += kAtOnce) {
      while (exporter_->queue().size() + kAtOnce > max_queued_) usleep(200);
      PushSome(std::min(kAtOnce, count - n));
    }
    Settle(count);
  }

  void PushAtRate(double rate, double seconds) {
    const uint64_t started_ns = MonoNs();
    const auto count = static_cast<size_t>(rate * seconds);
    for (size_t n = 0; n < count;) {
      const double due = rate * static_cast<double>(MonoNs() - started_ns) / 1e9;
      const size_t now = std::min(static_cast<size_t>(due) + 1, count) - n;
      PushSome(now);
      n += now;
      usleep(10'000);
    }
    Settle(count);
  }

  bool Finish() {
    exporter_->Stop();
    const LedgerSnapshot ledger = ledger_.Snapshot();
    std::printf("%s\n", ledger.Format().c_str());
    return ledger.acknowledged == ledger.created;
  }

 private:
  static constexpr size_t kAtOnce = 512;

  void PushSome(size_t count) {
    std::vector<Span> chunk;
    chunk.reserve(count);
    for (size_t i = 0; i < count; ++i) chunk.push_back(MakeBenchSpan(values_[next_++ % values_.size()], resource_));
    exporter_->queue().PushAll(std::move(chunk));
  }
  void Settle(size_t count) {
    while (ledger_.Snapshot().in_flight() != 0) usleep(2'000);
    std::printf("done %zu\n", count);
    std::fflush(stdout);
  }

  const size_t max_queued_;
  const std::vector<BenchSpanValues> values_ = MakeBenchValues(2048);
  const std::shared_ptr<const Resource> resource_ = MakeBenchResource();
  size_t next_ = 0;
  Ledger ledger_;
  std::unique_ptr<Exporter> exporter_;
};

int Main(const std::string& url, const std::string& protocol, const std::string& compression) {
  TransportSettings transport;
  auto endpoint =
      ParseEndpoint(url, protocol == "grpc" ? Protocol::kGrpc : Protocol::kHttpProtobuf, EndpointForm::kBase);
  if (!endpoint.ok()) {
    std::fprintf(stderr, "%s\n", std::string(endpoint.status().message()).c_str());
    return 2;
  }
  transport.endpoint = *std::move(endpoint);
  if (compression == "gzip") transport.compression = Compression::kGzip;
  if (compression == "zstd") transport.compression = Compression::kZstd;
  ExporterSettings settings;
  settings.endpoints = {transport};
  Driver driver(settings);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb;
    double first = 0, second = 0;
    words >> verb >> first >> second;
    if (verb == "push") driver.Push(static_cast<size_t>(first));
    if (verb == "rate") driver.PushAtRate(first, second);
  }
  return driver.Finish() ? 0 : 1;
}

}  // namespace
}  // namespace spantap

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench_export_run ENDPOINT PROTOCOL COMPRESSION\n");
    return 2;
  }
  return spantap::Main(argv[1], argv[2], argv[3]);
}
