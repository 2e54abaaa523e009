// SPDX-License-Identifier: Apache-2.0
//
// What one span costs to encode: ours (nanopb over attribute blobs) against protobuf C++ on an arena
// (build and serialise, from the same values) and against a hand-written writer of the same input (the
// floor). All variants run in one process, pinned, in alternating order, and produce the same bytes.
//
// Prints the median of the per-round ratios with the 10th and 90th percentile. Also shown: ours with the
// setting of the attributes included, which the event thread pays, not the batcher; and ours made into JSON.
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "exporter/otlp/otlp_encoder.h"
#include "exporter/otlp/otlp_json.h"
#include "google/protobuf/arena.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace spantap {
namespace {

using Request = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;

constexpr size_t kSpans = 512, kBatches = 16, kAttributes = 10;
constexpr int kRounds = 31, kEncodesPerRound = 32;

struct Input {
  std::vector<Span> spans;
  // The values that the attributes were set from: key, text, or number if there is no text.
  std::vector<std::array<std::pair<std::string, std::string>, kAttributes>> attributes;
};

void SetAttributes(const std::array<std::pair<std::string, std::string>, kAttributes>& values, AttributeBlob* blob) {
  for (size_t i = 0; i < 8; ++i) blob->AddString(values[i].first, values[i].second);
  blob->AddInt(values[8].first, 200);
  blob->AddInt(values[9].first, 8080);
}

// An HTTP server span as the agent makes it: 8 strings, 2 numbers, some 540 bytes.
Input MakeInput(uint64_t seed, const std::shared_ptr<const Resource>& resource) {
  SeededIds ids(seed);
  Input input;
  for (size_t i = 0; i < kSpans; ++i) {
    const std::string id = FormatHex(ids.NewTraceId());
    input.attributes.push_back({{{"http.request.method", "GET"},
                                 {"url.scheme", "http"},
                                 {"url.path", "/api/v1/products/" + id.substr(0, 12)},
                                 {"server.address", "productpage.default.svc.cluster.local"},
                                 {"client.address", "10.244.1." + std::to_string(i % 250)},
                                 {"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"},
                                 {"spantap.request_id", id},
                                 {"network.protocol.version", "1.1"},
                                 {"http.response.status_code", ""},
                                 {"server.port", ""}}});
    Span span;
    span.trace_id = ids.NewTraceId();
    span.span_id = ids.NewSpanId();
    span.parent_span_id = ids.NewSpanId();
    span.flags = kFlagSampled;
    span.kind = SpanKind::kServer;
    span.start_unix_ns = 1'760'000'000'000'000'000 + i * 1'000'003;
    span.end_unix_ns = span.start_unix_ns + 2'345'678;
    span.name = "GET /api/v1/products/{id}";
    SetAttributes(input.attributes[i], &span.attributes);
    span.resource = resource;
    input.spans.push_back(std::move(span));
  }
  return input;
}

std::string Text(const void* data, size_t size) { return std::string(static_cast<const char*>(data), size); }

// ---------------------------------------------------------------- protobuf C++

void FillSpan(const Span& span, const std::array<std::pair<std::string, std::string>, kAttributes>& attributes,
              opentelemetry::proto::trace::v1::Span* out) {
  out->set_trace_id(span.trace_id.bytes.data(), span.trace_id.bytes.size());
  out->set_span_id(span.span_id.bytes.data(), span.span_id.bytes.size());
  out->set_parent_span_id(span.parent_span_id.bytes.data(), span.parent_span_id.bytes.size());
  out->set_name(span.name);
  out->set_kind(opentelemetry::proto::trace::v1::Span::SPAN_KIND_SERVER);
  out->set_start_time_unix_nano(span.start_unix_ns);
  out->set_end_time_unix_nano(span.end_unix_ns);
  out->set_flags(span.flags | 0x100u);
  out->mutable_attributes()->Reserve(kAttributes);
  for (size_t i = 0; i < kAttributes; ++i) {
    auto* attribute = out->add_attributes();
    attribute->set_key(attributes[i].first);
    if (i < 8) {
      attribute->mutable_value()->set_string_value(attributes[i].second);
    } else {
      attribute->mutable_value()->set_int_value(i == 8 ? 200 : 8080);
    }
  }
}

void EncodeProtobuf(const Input& input, std::vector<char>* arena_block, std::string* out) {
  google::protobuf::ArenaOptions options;
  options.initial_block = arena_block->data();
  options.initial_block_size = arena_block->size();
  google::protobuf::Arena arena(options);
  auto* request = google::protobuf::Arena::CreateMessage<Request>(&arena);
  auto* group = request->add_resource_spans();
  auto* service = group->mutable_resource()->add_attributes();
  service->set_key("service.name");
  service->mutable_value()->set_string_value("productpage");
  auto* scope_spans = group->add_scope_spans();
  scope_spans->mutable_scope()->set_name("spantap");
  scope_spans->mutable_scope()->set_version(SPANTAP_VERSION);
  scope_spans->mutable_spans()->Reserve(kSpans);
  for (size_t i = 0; i < input.spans.size(); ++i) {
    FillSpan(input.spans[i], input.attributes[i], scope_spans->add_spans());
  }
  out->resize(request->ByteSizeLong());
  request->SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(out->data()));
}

// ---------------------------------------------------------------- the floor, by hand

size_t VarintSize(size_t value) {
  size_t size = 1;
  while (value >>= 7) ++size;
  return size;
}
char* PutVarint(char* out, size_t value) {
  for (; value >= 0x80; value >>= 7) *out++ = static_cast<char>(value | 0x80);
  *out++ = static_cast<char>(value);
  return out;
}
char* PutBytes(char* out, char tag, const void* bytes, size_t size) {
  *out++ = tag;
  out = PutVarint(out, size);
  std::memcpy(out, bytes, size);
  return out + size;
}
template <typename T>
char* PutFixed(char* out, char tag, T value) {
  *out++ = tag;
  std::memcpy(out, &value, sizeof(value));
  return out + sizeof(value);
}

size_t HandSpanSize(const Span& span) {
  return 18 + 10 + 10 + 1 + VarintSize(span.name.size()) + span.name.size() + 2 + 9 + 9 +
         span.attributes.bytes().size() + 6;
}

void EncodeByHand(const Input& input, const std::string& resource_field, const std::string& scope_field,
                  std::string* buffer) {
  size_t spans_bytes = 0;
  for (const Span& span : input.spans) {
    const size_t size = HandSpanSize(span);
    spans_bytes += 1 + VarintSize(size) + size;
  }
  const size_t scope_spans = scope_field.size() + spans_bytes;
  const size_t resource_spans = resource_field.size() + 1 + VarintSize(scope_spans) + scope_spans;
  buffer->resize(1 + VarintSize(resource_spans) + resource_spans);
  char* out = buffer->data();
  *out++ = 0x0a;
  out = PutVarint(out, resource_spans);
  out = std::copy(resource_field.begin(), resource_field.end(), out);
  *out++ = 0x12;
  out = PutVarint(out, scope_spans);
  out = std::copy(scope_field.begin(), scope_field.end(), out);
  for (const Span& span : input.spans) {
    *out++ = 0x12;
    out = PutVarint(out, HandSpanSize(span));
    out = PutBytes(out, 0x0a, span.trace_id.bytes.data(), 16);
    out = PutBytes(out, 0x12, span.span_id.bytes.data(), 8);
    out = PutBytes(out, 0x22, span.parent_span_id.bytes.data(), 8);
    out = PutBytes(out, 0x2a, span.name.data(), span.name.size());
    *out++ = 0x30;
    *out++ = static_cast<char>(span.kind);
    out = PutFixed<uint64_t>(out, 0x39, span.start_unix_ns);
    out = PutFixed<uint64_t>(out, 0x41, span.end_unix_ns);
    std::memcpy(out, span.attributes.bytes().data(), span.attributes.bytes().size());
    out += span.attributes.bytes().size();
    *out++ = static_cast<char>(0x85);
    out = PutFixed<uint32_t>(out, 0x01, span.flags | 0x100u);
  }
}

// ---------------------------------------------------------------- the measurement

enum Variant { kProtobuf, kNanopb, kByHand, kNanopbWithAttributes, kJson, kVariants };

class Bench {
 public:
  Bench() : arena_block_(4 << 20), encoder_(SPANTAP_VERSION) {
    auto resource = std::make_shared<Resource>();
    resource->attributes.AddString("service.name", "productpage");
    for (size_t i = 0; i < kBatches; ++i) inputs_.push_back(MakeInput(i + 1, resource));
    scratch_ = MakeInput(1, resource).spans;
    Request request;
    EncodeProtobuf(inputs_[0], &arena_block_, &out_);
    request.ParseFromString(out_);
    const auto& group = request.resource_spans(0);
    resource_field_ = Field(0x0a, group.resource().SerializeAsString());
    scope_field_ = Field(0x0a, group.scope_spans(0).scope().SerializeAsString());
  }

  bool AllEqual() {
    for (const Input& input : inputs_) {
      std::string expected, by_hand;
      EncodeProtobuf(input, &arena_block_, &expected);
      EncodeByHand(input, resource_field_, scope_field_, &by_hand);
      if (encoder_.Encode(input.spans) != expected || by_hand != expected) return false;
    }
    return true;
  }

  double NanosPerSpan(Variant variant) {
    // One pass untimed: the variant before must not decide what lies in the caches.
    for (Input& input : inputs_) Encode(variant, input);
    const uint64_t start_ns = ClockNs(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < kEncodesPerRound; ++i) Encode(variant, inputs_[static_cast<size_t>(i) % kBatches]);
    return static_cast<double>(ClockNs(CLOCK_THREAD_CPUTIME_ID) - start_ns) / (kEncodesPerRound * kSpans);
  }

  size_t batch_bytes() { return encoder_.Encode(inputs_[0].spans).size(); }

 private:
  static std::string Field(char tag, const std::string& body) {
    char header[12];
    header[0] = tag;
    return Text(header, static_cast<size_t>(PutVarint(header + 1, body.size()) - header)) + body;
  }

  void Encode(Variant variant, Input& input) {
    switch (variant) {
      case kProtobuf:
        return EncodeProtobuf(input, &arena_block_, &out_);
      case kByHand:
        return EncodeByHand(input, resource_field_, scope_field_, &by_hand_);
      case kNanopbWithAttributes:
        for (size_t i = 0; i < kSpans; ++i) {
          AttributeBlob blob;
          blob.reserve(512);
          SetAttributes(input.attributes[i], &blob);
          scratch_[i].attributes = std::move(blob);  // not the input's own: those shall stay where they are
        }
        sink_ += encoder_.Encode(scratch_).size();
        return;
      case kJson:  // on top of the encoding
        sink_ += RequestToJson(encoder_.Encode(input.spans), &json_) ? json_.size() : 0;
        return;
      default:
        sink_ += encoder_.Encode(input.spans).size();
    }
  }

  std::vector<Input> inputs_;
  std::vector<Span> scratch_;
  std::vector<char> arena_block_;
  OtlpEncoder encoder_;
  std::string out_, by_hand_, json_, resource_field_, scope_field_;
  size_t sink_ = 0;
};

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

void PrintRatio(const char* name, const std::vector<double>& top, const std::vector<double>& bottom, const char* goal) {
  std::vector<double> ratios;
  for (size_t i = 0; i < top.size(); ++i) ratios.push_back(top[i] / bottom[i]);
  std::printf("encode: %s = %.2fx [%.2f..%.2f]%s\n", name, Quantile(ratios, 0.5), Quantile(ratios, 0.1),
              Quantile(ratios, 0.9), goal);
}

int Main() {
  cpu_set_t cpu;
  CPU_ZERO(&cpu);
  CPU_SET(static_cast<size_t>(std::max(sched_getcpu(), 0)), &cpu);
  sched_setaffinity(0, sizeof(cpu), &cpu);
  Bench bench;
  if (!bench.AllEqual()) {
    std::fprintf(stderr, "encode: the variants do not produce the same bytes\n");
    return 1;
  }
  std::vector<double> ns[kVariants];
  for (int round = -2; round < kRounds; ++round) {  // two rounds to warm up
    for (int k = 0; k < kVariants; ++k) {
      const int variant = round % 2 == 0 ? k : kVariants - 1 - k;
      const double result = bench.NanosPerSpan(static_cast<Variant>(variant));
      if (round >= 0) ns[variant].push_back(result);
    }
  }
  std::printf(
      "encode: %zu spans, %zu attributes, %zu bytes a span, %d rounds; ns/span: protobuf_arena %.0f, nanopb %.0f, "
      "hand_written %.0f, nanopb with setting the attributes %.0f, nanopb and then JSON %.0f\n",
      kSpans, kAttributes, bench.batch_bytes() / kSpans, kRounds, Quantile(ns[kProtobuf], 0.5),
      Quantile(ns[kNanopb], 0.5), Quantile(ns[kByHand], 0.5), Quantile(ns[kNanopbWithAttributes], 0.5),
      Quantile(ns[kJson], 0.5));
  PrintRatio("protobuf_arena/nanopb", ns[kProtobuf], ns[kNanopb], " goal >= 4");
  PrintRatio("nanopb/hand_written", ns[kNanopb], ns[kByHand], " goal <= 3");
  PrintRatio("protobuf_arena/nanopb_with_setting_attributes", ns[kProtobuf], ns[kNanopbWithAttributes], "");
  return 0;
}

}  // namespace
}  // namespace spantap

int main() { return spantap::Main(); }
