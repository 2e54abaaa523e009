// SPDX-License-Identifier: Apache-2.0
//
// Every encoding is compared with protobuf C++, byte for byte: our encoder writes fields in the order of
// their numbers and with minimal lengths, as protobuf does.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <map>

#include "exporter/otlp/otlp_encoder.h"
#include "tests/exporter/otlp/oracle.h"

namespace spantap {
namespace {

using oracle::Generator;
using oracle::Request;
using oracle::TestResource;

// The request as protobuf builds it: one ResourceSpans for each resource, in order of first appearance.
class Expected {
 public:
  void Add(const Span& span, const oracle::ProtoSpan& proto, const TestResource* resource) {
    auto [it, inserted] = groups_.try_emplace(span.resource.get(), request_.resource_spans_size());
    if (inserted) {
      auto* group = request_.add_resource_spans();
      group->add_scope_spans()->mutable_scope()->set_name("spantap");
      if (resource != nullptr) {
        *group->mutable_resource() = resource->proto;
        group->set_schema_url(resource->model->schema_url);
        group->mutable_scope_spans(0)->set_schema_url(resource->model->schema_url);
      }
      group->mutable_scope_spans(0)->mutable_scope()->set_version("9.8.7");
    }
    *request_.mutable_resource_spans(it->second)->mutable_scope_spans(0)->add_spans() = proto;
  }
  const Request& request() const { return request_; }

 private:
  Request request_;
  std::map<const Resource*, int> groups_;
};

void CheckEqual(absl::string_view encoded, const Request& expected) {
  Request parsed;
  REQUIRE(parsed.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())));
  const std::string expected_bytes = expected.SerializeAsString();
  if (encoded == expected_bytes) return;
  CHECK(parsed.DebugString() == expected.DebugString());
  CHECK(encoded.size() == expected_bytes.size());
  FAIL("the bytes differ");
}

TEST_CASE("encoder: random batches equal protobuf's bytes", "[otlp]") {
  Generator generator(42);
  OtlpEncoder encoder("9.8.7");
  for (int round = 0; round < 400; ++round) {
    std::vector<TestResource> resources(1 + generator.Below(5));
    for (TestResource& resource : resources) resource = generator.MakeResource();
    std::vector<Span> spans;
    Expected expected;
    for (size_t n = generator.Below(40); n > 0; --n) {
      oracle::ProtoSpan proto;
      Span span = generator.MakeSpan(&proto);
      const size_t which = generator.Below(resources.size() + 1);
      const TestResource* resource = which == resources.size() ? nullptr : &resources[which];
      if (resource != nullptr) span.resource = resource->model;
      expected.Add(span, proto, resource);
      spans.push_back(std::move(span));
    }
    INFO("round " << round);
    CheckEqual(encoder.Encode(spans), expected.request());
  }
}

TEST_CASE("encoder: no spans, no bytes", "[otlp]") {
  OtlpEncoder encoder("1");
  CHECK(encoder.Encode({}).empty());
}

TEST_CASE("encoder: a resource is encoded once and never mistaken for another at the same address", "[otlp]") {
  Generator generator(3);
  OtlpEncoder encoder("9.8.7");
  for (int round = 0; round < 2000; ++round) {  // more than the cache holds, freed and allocated anew
    const TestResource resource = generator.MakeResource();
    oracle::ProtoSpan proto;
    std::vector<Span> spans;
    spans.push_back(generator.MakeSpan(&proto));
    spans[0].resource = resource.model;
    Expected expected;
    expected.Add(spans[0], proto, &resource);
    CheckEqual(encoder.Encode(spans), expected.request());
  }
}

TEST_CASE("encoder: lengths at every varint border", "[otlp]") {
  Generator generator(4);
  OtlpEncoder encoder("9.8.7");
  for (const size_t border : {127u, 128u, 16383u, 16384u, 2097151u, 2097152u}) {
    for (int offset = -90; offset <= 2; ++offset) {
      std::vector<Span> spans(1);
      spans[0].trace_id = generator.MakeId<TraceId>();
      spans[0].span_id = generator.MakeId<SpanId>();
      spans[0].name = std::string(border + static_cast<size_t>(offset), 'n');
      oracle::ProtoSpan proto;
      proto.set_trace_id(std::string(spans[0].trace_id.bytes.begin(), spans[0].trace_id.bytes.end()));
      proto.set_span_id(std::string(spans[0].span_id.bytes.begin(), spans[0].span_id.bytes.end()));
      proto.set_name(spans[0].name);
      proto.set_kind(oracle::ProtoSpan::SPAN_KIND_INTERNAL);
      proto.set_flags(0x100);
      Expected expected;
      expected.Add(spans[0], proto, nullptr);
      CheckEqual(encoder.Encode(spans), expected.request());
    }
  }
}

TEST_CASE("encoder: a span with all that the limits let through", "[otlp]") {
  const std::string text(kMaxAttributeValueBytes, 'v');
  const auto fill = [&text](AttributeBlob* blob, oracle::KeyValues* proto) {
    for (int i = 0; i < 128; ++i) {
      blob->AddString("key" + std::to_string(i), text);
      proto->Add()->set_key("key" + std::to_string(i));
      proto->rbegin()->mutable_value()->set_string_value(text);
    }
  };
  Generator generator(11);
  oracle::ProtoSpan proto;
  std::vector<Span> spans;
  spans.push_back(generator.MakeSpan(&proto));
  Span& span = spans[0];
  span.dropped_attributes = span.dropped_events = span.dropped_links = UINT32_MAX;
  span.start_unix_ns = span.end_unix_ns = UINT64_MAX;
  span.flags = 0xff;
  proto.clear_events();
  proto.clear_links();
  span.events = std::vector<SpanEvent>(128);
  span.links = std::vector<SpanLink>(128);
  fill(&span.attributes, proto.mutable_attributes());
  for (SpanEvent& event : span.events) {
    event.time_unix_ns = UINT64_MAX;
    event.dropped_attributes = UINT32_MAX;
    event.name = text;
    fill(&event.attributes, proto.add_events()->mutable_attributes());
    proto.mutable_events()->rbegin()->set_time_unix_nano(UINT64_MAX);
    proto.mutable_events()->rbegin()->set_dropped_attributes_count(UINT32_MAX);
    proto.mutable_events()->rbegin()->set_name(text);
  }
  for (SpanLink& link : span.links) {
    link.trace_id = span.trace_id;
    link.flags = 0xff;
    link.is_remote = true;
    link.trace_state = text;
    fill(&link.attributes, proto.add_links()->mutable_attributes());
    proto.mutable_links()->rbegin()->set_trace_id(proto.trace_id());
    proto.mutable_links()->rbegin()->set_trace_state(text);
    proto.mutable_links()->rbegin()->set_flags(0x3ff);
  }
  proto.set_dropped_attributes_count(UINT32_MAX);
  proto.set_dropped_events_count(UINT32_MAX);
  proto.set_dropped_links_count(UINT32_MAX);
  proto.set_start_time_unix_nano(UINT64_MAX);
  proto.set_end_time_unix_nano(UINT64_MAX);
  proto.set_flags(0xff | (proto.flags() & 0x300));
  OtlpEncoder encoder("9.8.7");
  Expected expected;
  expected.Add(span, proto, nullptr);
  const absl::string_view encoded = encoder.Encode(spans);
  CHECK(encoded.size() > 130 << 20);
  CHECK(encoded.size() <= span.ApproximateBytes() + 100);
  const std::string expected_bytes = expected.request().SerializeAsString();
  REQUIRE(encoded.size() == expected_bytes.size());
  CHECK((encoded == expected_bytes));
}

TEST_CASE("encoder: strings that are no UTF-8 are repaired, not refused", "[otlp]") {
  OtlpEncoder encoder("1");
  std::vector<Span> spans(3);
  spans[1].name = "GET /\xff\xfe";
  spans[1].trace_state = "a=\xc3";
  spans[1].status_message = "\xed\xa0\x80";
  spans[1].attributes.AddString("k\xff", "v\xff");
  spans[1].events.resize(2);
  spans[1].events[1].name = "e\xff";
  spans[1].links.resize(1);
  spans[1].links[0].trace_state = "l\xff";
  auto resource = std::make_shared<Resource>();
  resource->schema_url = "u\xff";
  spans[1].resource = resource;
  spans[2].name = std::string("a\0b", 3);
  const absl::string_view encoded = encoder.Encode(spans);
  Request parsed;  // protobuf refuses a string field that is no UTF-8
  REQUIRE(parsed.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())));
  const auto& span = parsed.resource_spans(1).scope_spans(0).spans(0);
  CHECK(span.name() == "GET /\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(span.trace_state() == "a=\xEF\xBF\xBD");
  CHECK(span.status().message() == "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(span.attributes(0).key() == "k\xEF\xBF\xBD");
  CHECK(span.attributes(0).value().string_value() == "v\xEF\xBF\xBD");
  CHECK(span.events(1).name() == "e\xEF\xBF\xBD");
  CHECK(span.links(0).trace_state() == "l\xEF\xBF\xBD");
  CHECK(parsed.resource_spans(1).schema_url() == "u\xEF\xBF\xBD");
  CHECK(parsed.resource_spans(1).scope_spans(0).schema_url() == "u\xEF\xBF\xBD");
  CHECK(spans[1].name == "GET /\xff\xfe");  // the caller's span is not touched
  CHECK(parsed.resource_spans(0).scope_spans(0).spans(1).name() == std::string("a\0b", 3));
}

TEST_CASE("attributes: values are cut on a character, hostile ones as well", "[otlp]") {
  std::vector<Span> spans(1);
  std::string long_value(kMaxAttributeValueBytes - 1, 'x');
  spans[0].attributes.AddString("cut", long_value + "\xe2\x82\xac tail");
  spans[0].attributes.AddString("whole", long_value + "y");
  spans[0].attributes.AddString("garbage", std::string(1 << 20, '\xff'));
  spans[0].attributes.AddStringArray1("array", long_value + "yz");
  spans[0].attributes.AddString(std::string(5000, 'k'), "");
  spans[0].attributes.AddBytes("bytes", std::string(5000, '\xff'));
  OtlpEncoder encoder("1");
  const absl::string_view encoded = encoder.Encode(spans);
  Request parsed;
  REQUIRE(parsed.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())));
  const auto& attributes = parsed.resource_spans(0).scope_spans(0).spans(0).attributes();
  CHECK(attributes[0].value().string_value() == long_value);
  CHECK(attributes[1].value().string_value() == long_value + "y");
  CHECK(attributes[2].value().string_value().size() == kMaxAttributeValueBytes / 3 * 3);
  CHECK(attributes[3].value().array_value().values(0).string_value() == long_value + "y");
  CHECK(attributes[4].key() == std::string(256, 'k'));
  CHECK(attributes[5].value().bytes_value() == std::string(kMaxAttributeValueBytes, '\xff'));
  CHECK(spans[0].attributes.count() == 6);
}

TEST_CASE("span: ApproximateBytes is an upper bound of the encoding", "[otlp]") {
  Generator generator(5);
  OtlpEncoder encoder("1");
  std::vector<Span> none(1);
  // What is not the span: the request's and the scope's headers, whose lengths may grow.
  const size_t around = encoder.Encode(none).size();
  for (int i = 0; i < 3000; ++i) {
    oracle::ProtoSpan proto;
    std::vector<Span> spans;
    spans.push_back(generator.MakeSpan(&proto));
    CHECK(encoder.Encode(spans).size() <= around + spans[0].ApproximateBytes());
  }
}

TEST_CASE("encoder: protoc reads it", "[otlp]") {
  if (std::system("protoc --version >/dev/null 2>&1") != 0) {
    WARN("skipped: no protoc in PATH");
    return;
  }
  Generator generator(6);
  const TestResource resource = generator.MakeResource();
  std::vector<Span> spans;
  for (int i = 0; i < 20; ++i) {
    oracle::ProtoSpan proto;
    spans.push_back(generator.MakeSpan(&proto));
    spans.back().resource = resource.model;
    spans.back().name = "span-" + std::to_string(i);
  }
  OtlpEncoder encoder("9.8.7");
  const absl::string_view encoded = encoder.Encode(spans);
  char path[] = "/tmp/spantap-otlp-XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  REQUIRE(write(fd, encoded.data(), encoded.size()) == static_cast<ssize_t>(encoded.size()));
  close(fd);
  const std::string command = std::string(
                                  "protoc -I exporter/otlp/proto --decode=opentelemetry.proto.collector.trace.v1."
                                  "ExportTraceServiceRequest opentelemetry/proto/collector/trace/v1/"
                                  "trace_service.proto <") +
                              path;
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) text.append(buffer, n);
  CHECK(pclose(pipe) == 0);
  unlink(path);
  for (int i = 0; i < 20; ++i) CHECK(text.find("name: \"span-" + std::to_string(i) + "\"") != std::string::npos);
  // A field that our .proto does not know would be shown by its number alone.
  CHECK(text.find("\n  1: ") == std::string::npos);
  CHECK(text.find("version: \"9.8.7\"") != std::string::npos);
}

}  // namespace
}  // namespace spantap
