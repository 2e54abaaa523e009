// SPDX-License-Identifier: Apache-2.0
//
// From the queue to a compressed HTTP body, on one core: the whole exporter (queue, batcher, limits, encoder, inbox,
// sender, ledger) with a transport that compresses as the real one does and then acknowledges instead of sending.
// Variants: our Compressor (libdeflate gzip, zstd, none), and zlib level 1 with a kept stream in libdeflate's place.
//
//     bench_export_body ROUNDS      (all variants once per round, every second round backwards)
//
// Prints one JSON line for each run: CPU seconds of all threads, which are pinned to one core, from the first span's
// push until the last is acknowledged, spans, bytes before and after compression.
#include <sched.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/clock.h"
#include "exporter/send/exporter_parts.h"
#include "exporter/transport/compress.h"
#include "tests/bench/bench_export_spans.h"

namespace spantap {
namespace {

// What the queue holds by default, and two of the largest batches: no rest waits for its time. Larger steps would
// measure how slow memory is that no agent uses.
constexpr size_t kStep = 8192;
constexpr size_t kSteps = 24;
constexpr size_t kAtOnce = 512;

enum class Variant { kLibdeflate, kZlib, kZstd, kNone };
constexpr std::pair<Variant, const char*> kVariants[] = {{Variant::kLibdeflate, "libdeflate"},
                                                         {Variant::kZlib, "zlib1"},
                                                         {Variant::kZstd, "zstd"},
                                                         {Variant::kNone, "none"}};

// The rival: deflateReset() on a kept stream, a buffer that only grows.
class Zlib {
 public:
  Zlib() { ok_ = deflateInit2(&stream_, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK; }
  Zlib(const Zlib&) = delete;
  Zlib& operator=(const Zlib&) = delete;
  ~Zlib() { deflateEnd(&stream_); }

  size_t Compress(absl::string_view body) {
    const size_t bound = deflateBound(&stream_, body.size());
    if (out_.size() < bound) out_.resize(bound);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
    stream_.avail_in = static_cast<uInt>(body.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
    stream_.avail_out = static_cast<uInt>(out_.size());
    if (!ok_ || deflateReset(&stream_) != Z_OK || deflate(&stream_, Z_FINISH) != Z_STREAM_END) abort();
    return stream_.total_out;
  }

 private:
  z_stream stream_ = {};
  bool ok_ = false;
  std::string out_;
};

struct Bytes {
  size_t request = 0;
  size_t body = 0;
};

class BodyTransport final : public Transport {
 public:
  BodyTransport(Variant variant, Bytes* bytes)
      : variant_(variant),
        bytes_(bytes),
        compressor_(variant == Variant::kLibdeflate ? Compression::kGzip
                    : variant == Variant::kZstd     ? Compression::kZstd
                                                    : Compression::kNone) {}
  SendResult Send(absl::string_view request, absl::Duration /*timeout*/) override {
    bytes_->request += request.size();
    bytes_->body += variant_ == Variant::kZlib ? zlib_.Compress(request) : compressor_.Compress(request).body.size();
    SendResult result;
    result.kind = SendResult::Kind::kAcknowledged;
    return result;
  }
  void Cancel() override {}
  std::string Describe() const override { return "nowhere"; }

 private:
  const Variant variant_;
  Bytes* const bytes_;
  Compressor compressor_;
  Zlib zlib_;
};

class Run {
 public:
  explicit Run(Variant variant) {
    ExporterParts parts;
    parts.transports = [this, variant]() -> absl::StatusOr<std::vector<std::unique_ptr<Transport>>> {
      std::vector<std::unique_ptr<Transport>> transports;
      transports.push_back(std::make_unique<BodyTransport>(variant, &bytes_));
      return transports;
    };
    ExporterSettings settings;
    exporter_ = MakeExporter(settings, std::move(parts), ledger_, [](absl::string_view) {}).value();
    exporter_->Start();
  }

  void Measure(const char* name, const std::vector<Span>& templates) {
    Step(templates);  // warm
    const Bytes before = bytes_;
    double cpu_s = 0;
    for (size_t i = 0; i < kSteps; ++i) cpu_s += Step(templates);
    std::printf("{\"variant\": \"%s\", \"spans\": %zu, \"cpu_s\": %.6f, \"request_bytes\": %zu, \"body_bytes\": %zu}\n",
                name, kSteps * kStep, cpu_s, bytes_.request - before.request, bytes_.body - before.body);
    std::fflush(stdout);
  }

 private:
  double Step(const std::vector<Span>& templates) {
    std::vector<std::vector<Span>> chunks;  // made before the clock runs
    for (size_t i = 0; i < kStep; i += kAtOnce) {
      const auto first = templates.begin() + static_cast<std::ptrdiff_t>(i % templates.size());
      chunks.emplace_back(first, first + kAtOnce);
    }
    const uint64_t acknowledged = ledger_.Snapshot().acknowledged + kStep;
    const uint64_t cpu_ns = ClockNs(CLOCK_PROCESS_CPUTIME_ID);
    for (auto& chunk : chunks) exporter_->queue().PushAll(std::move(chunk));
    while (ledger_.Snapshot().acknowledged < acknowledged) usleep(500);
    if (ledger_.Snapshot().total_dropped() != 0) abort();
    return static_cast<double>(ClockNs(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns) / 1e9;
  }

  Ledger ledger_;
  Bytes bytes_;  // written by the sender's thread, read when all is acknowledged
  std::unique_ptr<Exporter> exporter_;
};

int Main(int rounds) {
  cpu_set_t cpu;
  CPU_ZERO(&cpu);
  CPU_SET(static_cast<size_t>(std::max(sched_getcpu(), 0)), &cpu);
  sched_setaffinity(0, sizeof(cpu), &cpu);  // threads made later inherit it
  const std::vector<Span> templates = MakeBenchSpans(16 * kAtOnce);
  for (int round = 0; round < rounds; ++round) {
    for (size_t k = 0; k < std::size(kVariants); ++k) {
      const auto& [variant, name] = kVariants[round % 2 == 0 ? k : std::size(kVariants) - 1 - k];
      Run(variant).Measure(name, templates);
    }
  }
  return 0;
}

}  // namespace
}  // namespace spantap

int main(int argc, char** argv) { return spantap::Main(argc > 1 ? std::atoi(argv[1]) : 7); }
