// SPDX-License-Identifier: Apache-2.0
//
// The rival of the whole exporter: opentelemetry-cpp's BatchSpanProcessor and OtlpHttpExporter (protobuf), steered like
// bench_export_run.cc. Built by bench_export.py against Debian's package from the backports.
//
//     opentelemetry_cpp URL     (of the sink, path included)
//     stdin: "push N"           answers "done N" when all are exported
//
// In its favour: recordables are filled directly, without tracer, sampler, context and id generator; batch and queue
// are its defaults, with which it is twice as fast as with ours; it never drops, as the queue is flushed before it is
// full. The package is built without compression.
#include <opentelemetry/exporters/otlp/otlp_http_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_http_exporter_options.h>
#include <opentelemetry/sdk/instrumentationscope/instrumentation_scope.h>
#include <opentelemetry/sdk/resource/resource.h>
#include <opentelemetry/sdk/trace/batch_span_processor.h>
#include <opentelemetry/sdk/trace/batch_span_processor_options.h>
#include <opentelemetry/sdk/trace/exporter.h>
#include <opentelemetry/sdk/trace/recordable.h>
#include <opentelemetry/trace/span_context.h>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <memory>
#include <sstream>

#include "tests/bench/bench_export_values.h"

namespace {

namespace nostd = opentelemetry::nostd;
namespace otlp = opentelemetry::exporter::otlp;
namespace resource = opentelemetry::sdk::resource;
namespace scope = opentelemetry::sdk::instrumentationscope;
namespace sdk = opentelemetry::sdk::trace;
namespace trace = opentelemetry::trace;
using opentelemetry::sdk::common::ExportResult;

constexpr size_t kBatch = 512, kFlushAt = 1024, kQueue = 2048;

std::atomic<size_t> exported{0};

// Counts what the real exporter says it delivered.
class CountingExporter final : public sdk::SpanExporter {
 public:
  explicit CountingExporter(std::unique_ptr<sdk::SpanExporter> real) : real_(std::move(real)) {}
  std::unique_ptr<sdk::Recordable> MakeRecordable() noexcept override { return real_->MakeRecordable(); }
  ExportResult Export(const nostd::span<std::unique_ptr<sdk::Recordable>>& spans) noexcept override {
    const ExportResult result = real_->Export(spans);
    if (result == ExportResult::kSuccess) exported += spans.size();
    return result;
  }
  bool ForceFlush(std::chrono::microseconds timeout) noexcept override { return real_->ForceFlush(timeout); }
  bool Shutdown(std::chrono::microseconds timeout) noexcept override { return real_->Shutdown(timeout); }

 private:
  std::unique_ptr<sdk::SpanExporter> real_;
};

std::unique_ptr<sdk::BatchSpanProcessor> MakeProcessor(const char* url) {
  otlp::OtlpHttpExporterOptions exporter_options;
  exporter_options.url = url;
  exporter_options.content_type = otlp::HttpRequestContentType::kBinary;
  sdk::BatchSpanProcessorOptions options;
  options.max_queue_size = kQueue;
  options.max_export_batch_size = kBatch;
  options.schedule_delay_millis = std::chrono::milliseconds(500);
  return std::make_unique<sdk::BatchSpanProcessor>(
      std::make_unique<CountingExporter>(otlp::OtlpHttpExporterFactory::Create(exporter_options)), options);
}

class Producer {
 public:
  explicit Producer(const char* url) : processor_(MakeProcessor(url)) {}

  bool Push(size_t count) {
    const size_t wanted = exported + count;
    for (size_t n = 1; n <= count; ++n) {
      auto span = processor_->MakeRecordable();
      Fill(values_[next_++ % values_.size()], *span);
      processor_->OnEnd(std::move(span));
      if (n % kFlushAt == 0 || n == count) processor_->ForceFlush();
    }
    return exported == wanted;
  }

 private:
  void Fill(const spantap::BenchSpanValues& values, sdk::Recordable& span) const {
    const trace::TraceFlags flags(trace::TraceFlags::kIsSampled);
    const trace::SpanContext context(trace::TraceId(nostd::span<const uint8_t, 16>(values.trace_id.data(), 16)),
                                     trace::SpanId(nostd::span<const uint8_t, 8>(values.span_id.data(), 8)), flags,
                                     false);
    span.SetIdentity(context, trace::SpanId(nostd::span<const uint8_t, 8>(values.parent_span_id.data(), 8)));
    span.SetTraceFlags(flags);
    span.SetResource(resource_);
    span.SetInstrumentationScope(*scope_);
    span.SetSpanKind(trace::SpanKind::kServer);
    span.SetStartTime(opentelemetry::common::SystemTimestamp(std::chrono::nanoseconds(values.start_unix_ns)));
    span.SetDuration(std::chrono::nanoseconds(values.duration_ns));
    span.SetName(values.name);
    for (const auto& [key, text] : values.texts) span.SetAttribute(key, nostd::string_view(text));
    for (const auto& [key, number] : values.numbers) span.SetAttribute(key, number);
  }

  const resource::Resource resource_ = resource::Resource::Create({{"service.name", "productpage"}});
  const std::unique_ptr<scope::InstrumentationScope> scope_ = scope::InstrumentationScope::Create("spantap", "0.1.0");
  const std::vector<spantap::BenchSpanValues> values_ = spantap::MakeBenchValues(2048);
  size_t next_ = 0;
  std::unique_ptr<sdk::BatchSpanProcessor> processor_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: opentelemetry_cpp URL\n");
    return 2;
  }
  Producer producer(argv[1]);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb;
    size_t count = 0;
    words >> verb >> count;
    if (verb != "push" || !producer.Push(count)) return 1;
    std::printf("done %zu\n", count);
    std::fflush(stdout);
  }
  return 0;
}
