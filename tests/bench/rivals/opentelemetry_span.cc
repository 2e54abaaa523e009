// SPDX-License-Identifier: Apache-2.0
//
// The rival of the hand-off: the same 10-attribute span (bench_handoff.cc's) by opentelemetry-cpp's API and SDK as a
// proxy uses them: tracer, sampler, ids, StartSpan, SetAttribute, End, BatchSpanProcessor. Built by bench_handoff.py.
//
//     opentelemetry_span URL|discard
//     stdin: "push N"    answers "done N THREAD_NS PROCESS_NS": CPU time of the thread that makes spans, and of the
//     process,
//                        until all are exported
//
// URL: exported by OtlpHttpExporter; "discard": by an exporter that frees them, so that only the pushing is measured.
// In its favour: the queue is flushed before it is full, and nothing is dropped; its defaults otherwise.
#include <opentelemetry/exporters/otlp/otlp_http_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_http_exporter_options.h>
#include <opentelemetry/sdk/resource/resource.h>
#include <opentelemetry/sdk/trace/batch_span_processor.h>
#include <opentelemetry/sdk/trace/batch_span_processor_options.h>
#include <opentelemetry/sdk/trace/exporter.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>
#include <opentelemetry/trace/span_startoptions.h>
#include <opentelemetry/trace/tracer.h>
#include <time.h>

#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>

namespace {

namespace nostd = opentelemetry::nostd;
namespace otlp = opentelemetry::exporter::otlp;
namespace sdk = opentelemetry::sdk::trace;
namespace trace = opentelemetry::trace;
using opentelemetry::common::SteadyTimestamp;
using opentelemetry::common::SystemTimestamp;
using opentelemetry::sdk::common::ExportResult;

constexpr size_t kFlushAt = 1024;

// Spans are made for the real exporter, and then freed.
class DiscardingExporter final : public sdk::SpanExporter {
 public:
  explicit DiscardingExporter(std::unique_ptr<sdk::SpanExporter> real) : real_(std::move(real)) {}
  std::unique_ptr<sdk::Recordable> MakeRecordable() noexcept override { return real_->MakeRecordable(); }
  ExportResult Export(const nostd::span<std::unique_ptr<sdk::Recordable>>&) noexcept override {
    return ExportResult::kSuccess;
  }
  bool ForceFlush(std::chrono::microseconds) noexcept override { return true; }
  bool Shutdown(std::chrono::microseconds) noexcept override { return true; }

 private:
  std::unique_ptr<sdk::SpanExporter> real_;
};

std::unique_ptr<sdk::SpanExporter> MakeExporter(const char* url) {
  const bool discard = std::strcmp(url, "discard") == 0;
  otlp::OtlpHttpExporterOptions options;
  options.url = discard ? "http://127.0.0.1:1/v1/traces" : url;
  options.content_type = otlp::HttpRequestContentType::kBinary;
  auto real = otlp::OtlpHttpExporterFactory::Create(options);
  if (!discard) return real;
  return std::make_unique<DiscardingExporter>(std::move(real));
}

unsigned long long CpuNs(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<unsigned long long>(now.tv_sec) * 1000000000u + static_cast<unsigned long long>(now.tv_nsec);
}

void MakeSpan(trace::Tracer& tracer, long long number) {
  const std::chrono::nanoseconds start(1700000000000000000 + number * 1000000);
  trace::StartSpanOptions options;
  options.kind = trace::SpanKind::kServer;
  options.start_system_time = SystemTimestamp(start);
  options.start_steady_time = SteadyTimestamp(start);
  auto span = tracer.StartSpan("GET /api/items/{id}", options);
  span->SetAttribute("http.request.method", "GET");
  span->SetAttribute("http.response.status_code", static_cast<int64_t>(200));
  span->SetAttribute("http.route", "/api/items/{id}");
  span->SetAttribute("url.path", "/api/items/4711");
  span->SetAttribute("url.scheme", "https");
  span->SetAttribute("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0");
  span->SetAttribute("server.address", "shop.example.com");
  span->SetAttribute("client.address", "203.0.113.195");
  span->SetAttribute("client.port", static_cast<int64_t>(41234));
  span->SetAttribute("network.protocol.version", "1.1");
  trace::EndSpanOptions end;
  end.end_steady_time = SteadyTimestamp(start + std::chrono::milliseconds(5));
  span->End(end);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: opentelemetry_span URL|discard\n");
    return 2;
  }
  sdk::TracerProvider provider(
      std::make_unique<sdk::BatchSpanProcessor>(MakeExporter(argv[1]), sdk::BatchSpanProcessorOptions()),
      opentelemetry::sdk::resource::Resource::Create({{"service.name", "shop"}}));
  auto tracer = provider.GetTracer("bench");
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb;
    long long count = 0;
    words >> verb >> count;
    if (verb != "push") return 1;
    const unsigned long long process = CpuNs(CLOCK_PROCESS_CPUTIME_ID);
    unsigned long long thread = 0;
    for (long long n = 0; n < count;) {
      const unsigned long long begin = CpuNs(CLOCK_THREAD_CPUTIME_ID);
      for (size_t i = 0; i < kFlushAt && n < count; ++i, ++n) MakeSpan(*tracer, n / 1000);
      thread += CpuNs(CLOCK_THREAD_CPUTIME_ID) - begin;
      provider.ForceFlush();
    }
    std::printf("done %lld %llu %llu\n", count, thread, CpuNs(CLOCK_PROCESS_CPUTIME_ID) - process);
    std::fflush(stdout);
  }
  return 0;
}
