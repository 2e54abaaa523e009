// SPDX-License-Identifier: Apache-2.0
//
// Random spans in two forms: our model, and the message that protobuf C++ (the oracle) builds from the
// same values by the plainest means. Used by the encoder's tests.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "exporter/model/attributes.h"
#include "exporter/model/span.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace spantap::oracle {

using Request = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using Response = opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
using ProtoSpan = opentelemetry::proto::trace::v1::Span;
using KeyValues = google::protobuf::RepeatedPtrField<opentelemetry::proto::common::v1::KeyValue>;

struct TestResource {
  std::shared_ptr<Resource> model = std::make_shared<Resource>();
  opentelemetry::proto::resource::v1::Resource proto;
};

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  uint64_t Below(uint64_t n) { return std::uniform_int_distribution<uint64_t>(0, n - 1)(random_); }
  bool Chance(int percent) { return Below(100) < static_cast<uint64_t>(percent); }

  // Valid UTF-8: ASCII, two-, three- and four-byte characters.
  std::string Text(size_t max_characters) {
    static const char* const kOther[] = {"\xc3\xb6", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    std::string text;
    for (size_t n = Below(max_characters + 1); n > 0; --n) {
      text += Chance(90) ? std::string(1, static_cast<char>(Below(0x80))) : kOther[Below(3)];
    }
    return text;
  }

  // A number of any magnitude, so that varints of each length occur.
  uint64_t Number() { return std::uniform_int_distribution<uint64_t>()(random_) >> Below(64); }

  double Double() {
    static const double kSpecial[] = {0.0, -0.0, 1.0, 1e300, 5e-324, HUGE_VAL, -HUGE_VAL, std::nan("")};
    return Chance(30) ? kSpecial[Below(8)] : static_cast<double>(Number()) / 3 - 7;
  }
  int64_t Int() { return static_cast<int64_t>(Number()) * (Chance(50) ? 1 : -1); }

  void AddAttribute(AttributeBlob* blob, KeyValues* proto) {
    const std::string key = Text(40);
    auto* kv = proto->Add();
    kv->set_key(key);
    auto* any = kv->mutable_value();
    switch (Below(7)) {
      case 0:
        any->set_string_value(Text(Chance(5) ? 900 : 60));
        return blob->AddString(key, any->string_value());
      case 1:
        any->set_int_value(Int());
        return blob->AddInt(key, any->int_value());
      case 2:
        any->set_double_value(Double());
        return blob->AddDouble(key, any->double_value());
      case 3:
        any->set_bool_value(Chance(50));
        return blob->AddBool(key, any->bool_value());
      case 4:
        any->set_bytes_value(Bytes(Below(70)));
        return blob->AddBytes(key, any->bytes_value());
      case 5:
        any->mutable_array_value()->add_values()->set_string_value(Text(60));
        return blob->AddStringArray1(key, any->array_value().values(0).string_value());
      default:
        return AddArray(key, blob, any->mutable_array_value());
    }
  }

  std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(Below(256));
    return bytes;
  }

  TestResource MakeResource() {
    TestResource resource;
    for (size_t n = Below(6); n > 0; --n) {
      AddAttribute(&resource.model->attributes, resource.proto.mutable_attributes());
    }
    if (Chance(20)) resource.model->dropped_attributes = static_cast<uint32_t>(Number());
    if (Chance(30)) resource.model->schema_url = Text(60);
    resource.proto.set_dropped_attributes_count(resource.model->dropped_attributes);
    return resource;
  }

  template <typename Id>
  Id MakeId() {
    Id id;
    for (uint8_t& byte : id.bytes) byte = static_cast<uint8_t>(Below(256));
    id.bytes[0] |= 1;
    return id;
  }

  // All fields but the resource.
  Span MakeSpan(ProtoSpan* proto) {
    Span span;
    span.trace_id = MakeId<TraceId>();
    span.span_id = MakeId<SpanId>();
    if (Chance(70)) span.parent_span_id = MakeId<SpanId>();
    span.flags = static_cast<uint8_t>(Below(4));
    span.parent_is_remote = Chance(50);
    span.kind = static_cast<SpanKind>(1 + Below(5));
    span.status = static_cast<StatusCode>(Below(3));
    if (Chance(95)) span.start_unix_ns = Number();
    if (Chance(95)) span.end_unix_ns = Number();
    if (Chance(20)) span.dropped_attributes = static_cast<uint32_t>(Number());
    if (Chance(95)) span.name = Text(Chance(3) ? 20000 : 30);
    if (Chance(20)) span.trace_state = Text(40);
    if (Chance(20)) span.status_message = Text(40);
    for (size_t n = Below(12); n > 0; --n) AddAttribute(&span.attributes, proto->mutable_attributes());
    if (Chance(20)) span.dropped_events = static_cast<uint32_t>(Number());
    if (Chance(20)) span.dropped_links = static_cast<uint32_t>(Number());
    for (size_t n = Chance(20) ? Below(4) : 0; n > 0; --n) span.events.push_back(MakeEvent(proto->add_events()));
    for (size_t n = Chance(20) ? Below(4) : 0; n > 0; --n) span.links.push_back(MakeLink(proto->add_links()));
    CopyFixedFields(span, proto);
    return span;
  }

 private:
  template <typename Id>
  static std::string Bytes(const Id& id) {
    return id.valid() ? std::string(id.bytes.begin(), id.bytes.end()) : "";
  }

  void AddArray(const std::string& key, AttributeBlob* blob, opentelemetry::proto::common::v1::ArrayValue* proto) {
    const size_t n = Below(5), kind = Below(4);
    bool bools[4];
    std::vector<int64_t> ints;
    std::vector<double> doubles;
    std::vector<std::string> texts;
    for (size_t i = 0; i < n; ++i) {
      auto* any = proto->add_values();
      if (kind == 0) any->set_bool_value(bools[i] = Chance(50));
      if (kind == 1) any->set_int_value(ints.emplace_back(Int()));
      if (kind == 2) any->set_double_value(doubles.emplace_back(Double()));
      if (kind == 3) any->set_string_value(texts.emplace_back(Text(20)));
    }
    if (kind == 0) blob->AddBoolArray(key, absl::MakeSpan(bools, n));
    if (kind == 1) blob->AddIntArray(key, ints);
    if (kind == 2) blob->AddDoubleArray(key, doubles);
    if (kind == 3) blob->AddStringArray(key, std::vector<absl::string_view>(texts.begin(), texts.end()));
  }

  SpanEvent MakeEvent(ProtoSpan::Event* proto) {
    SpanEvent event;
    if (Chance(90)) event.time_unix_ns = Number();
    if (Chance(90)) event.name = Text(30);
    if (Chance(20)) event.dropped_attributes = static_cast<uint32_t>(Number());
    for (size_t n = Below(4); n > 0; --n) AddAttribute(&event.attributes, proto->mutable_attributes());
    proto->set_time_unix_nano(event.time_unix_ns);
    proto->set_name(event.name);
    proto->set_dropped_attributes_count(event.dropped_attributes);
    return event;
  }

  SpanLink MakeLink(ProtoSpan::Link* proto) {
    SpanLink link;
    link.trace_id = MakeId<TraceId>();
    if (Chance(70)) link.span_id = MakeId<SpanId>();
    if (Chance(50)) link.flags = static_cast<uint8_t>(Below(256));
    if (Chance(50)) link.is_remote = Chance(50);
    if (Chance(30)) link.trace_state = Text(40);
    if (Chance(20)) link.dropped_attributes = static_cast<uint32_t>(Number());
    for (size_t n = Below(3); n > 0; --n) AddAttribute(&link.attributes, proto->mutable_attributes());
    proto->set_trace_id(Bytes(link.trace_id));
    proto->set_span_id(Bytes(link.span_id));
    proto->set_trace_state(link.trace_state);
    proto->set_dropped_attributes_count(link.dropped_attributes);
    proto->set_flags(link.flags | (link.is_remote ? 0x100u | (*link.is_remote ? 0x200u : 0u) : 0u));
    return link;
  }

  static void CopyFixedFields(const Span& span, ProtoSpan* proto) {
    proto->set_trace_id(Bytes(span.trace_id));
    proto->set_span_id(Bytes(span.span_id));
    proto->set_parent_span_id(Bytes(span.parent_span_id));
    proto->set_trace_state(span.trace_state);
    proto->set_name(span.name);
    proto->set_kind(static_cast<ProtoSpan::SpanKind>(span.kind));
    proto->set_start_time_unix_nano(span.start_unix_ns);
    proto->set_end_time_unix_nano(span.end_unix_ns);
    proto->set_dropped_attributes_count(span.dropped_attributes);
    proto->set_dropped_events_count(span.dropped_events);
    proto->set_dropped_links_count(span.dropped_links);
    proto->set_flags(span.flags | 0x100u | (span.parent_is_remote ? 0x200u : 0u));
    if (span.status != StatusCode::kUnset || !span.status_message.empty()) {
      proto->mutable_status()->set_message(span.status_message);
      proto->mutable_status()->set_code(static_cast<opentelemetry::proto::trace::v1::Status::StatusCode>(span.status));
    }
  }

  std::mt19937 random_;
};

}  // namespace spantap::oracle
