// SPDX-License-Identifier: Apache-2.0
//
// Random requests as protobuf C++ writes them: every field of the interface, values in values, several scopes, empty
// groups, unknown fields at every level. For what reads requests: counting, splitting, JSON.
#pragma once

#include <string>

#include "tests/exporter/otlp/oracle.h"

namespace spantap::oracle {

class RequestMaker {
 public:
  // `unknown_fields`: whether there are any.
  RequestMaker(uint32_t seed, bool unknown_fields) : generator(seed), unknown_fields_(unknown_fields) {}

  Request Make(size_t max_groups = 4, size_t max_spans = 8) {
    Request request;
    for (size_t n = generator.Below(max_groups + 1); n > 0; --n) {
      auto* group = request.add_resource_spans();
      if (generator.Chance(80)) FillResource(group->mutable_resource());
      for (size_t scopes = generator.Below(4); scopes > 0; --scopes) FillScope(group->add_scope_spans(), max_spans);
      if (generator.Chance(30)) group->set_schema_url(generator.Text(30));
      Strange(group);
    }
    Strange(&request);
    return request;
  }

  void FillValue(opentelemetry::proto::common::v1::AnyValue* any, int depth = 0) {
    switch (generator.Below(depth < 5 ? 8 : 6)) {
      case 0:
        return any->set_string_value(generator.Text(40));
      case 1:
        return any->set_bool_value(generator.Chance(50));
      case 2:
        return any->set_int_value(generator.Int());
      case 3:
        return any->set_double_value(generator.Double());
      case 4:
        return any->set_bytes_value(generator.Bytes(generator.Below(20)));
      case 5:
        return Strange(any);  // no value
      case 6:
        any->mutable_array_value();
        for (size_t n = generator.Below(4); n > 0; --n) FillValue(any->mutable_array_value()->add_values(), depth + 1);
        return;
      default:
        any->mutable_kvlist_value();
        for (size_t n = generator.Below(4); n > 0; --n) FillKeyValue(any->mutable_kvlist_value()->add_values(), depth);
    }
  }

  Generator generator;

 private:
  void FillKeyValue(opentelemetry::proto::common::v1::KeyValue* kv, int depth) {
    if (generator.Chance(95)) kv->set_key(generator.Text(20));
    if (generator.Chance(95)) FillValue(kv->mutable_value(), depth + 1);
    Strange(kv);
  }
  template <typename Message>
  void FillAttributes(Message* message) {
    for (size_t n = generator.Below(5); n > 0; --n) FillKeyValue(message->add_attributes(), 0);
    if (generator.Chance(20)) message->set_dropped_attributes_count(static_cast<uint32_t>(generator.Number()));
    Strange(message);
  }
  void FillResource(opentelemetry::proto::resource::v1::Resource* resource) { FillAttributes(resource); }
  void FillScope(opentelemetry::proto::trace::v1::ScopeSpans* scope_spans, size_t max_spans) {
    if (generator.Chance(80)) {
      auto* scope = scope_spans->mutable_scope();
      if (generator.Chance(80)) scope->set_name(generator.Text(20));
      if (generator.Chance(80)) scope->set_version(generator.Text(20));
      FillAttributes(scope);
    }
    for (size_t n = generator.Below(max_spans + 1); n > 0; --n) FillSpan(scope_spans->add_spans());
    if (generator.Chance(30)) scope_spans->set_schema_url(generator.Text(30));
    Strange(scope_spans);
  }
  void FillSpan(ProtoSpan* span) {
    if (generator.Chance(80)) {
      generator.MakeSpan(span);
    } else {
      span->set_kind(static_cast<ProtoSpan::SpanKind>(static_cast<int>(generator.Number())));
      span->set_trace_id(generator.Bytes(generator.Below(30)));  // of any length
      FillAttributes(span);
      for (size_t n = generator.Below(3); n > 0; --n) FillAttributes(span->add_events());
      for (size_t n = generator.Below(3); n > 0; --n) FillAttributes(span->add_links());
      if (generator.Chance(50)) span->mutable_status();
    }
    Strange(span);
  }

  // A field that no version has, of every wire type, with numbers of one to five bytes.
  template <typename Message>
  void Strange(Message* message) {
    if (!unknown_fields_ || !generator.Chance(20)) return;
    auto* unknown = message->GetReflection()->MutableUnknownFields(message);
    const int number = 30 + static_cast<int>(generator.Below(536'000'000) >> generator.Below(29));
    switch (generator.Below(4)) {
      case 0:
        return unknown->AddVarint(number, generator.Number());
      case 1:
        return unknown->AddFixed32(number, static_cast<uint32_t>(generator.Number()));
      case 2:
        return unknown->AddFixed64(number, generator.Number());
      default:
        *unknown->AddLengthDelimited(number) = generator.Bytes(generator.Below(200));
    }
  }

  const bool unknown_fields_;
};

}  // namespace spantap::oracle
