// SPDX-License-Identifier: Apache-2.0
//
// OTLP JSON read back into protobuf's messages, by the letter of the specification: an unknown name, a default value
// that is written out, or a value of another form than the mapping says makes it fail. protobuf's own JSON is no
// oracle here: it wants base64 for ids and names for enums.
#pragma once

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/exporter/otlp/oracle.h"

namespace spantap::oracle {

using Json = nlohmann::json;

inline std::string FromHex(const Json& json) {
  const auto text = json.get<std::string>();
  std::string bytes;
  REQUIRE((!text.empty() && text.size() % 2 == 0 && text.find_first_not_of("0123456789abcdef") == std::string::npos));
  for (size_t i = 0; i < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

inline std::string FromBase64(const Json& json) {
  static const std::string kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  auto text = json.get<std::string>();
  REQUIRE(text.size() % 4 == 0);
  while (!text.empty() && text.back() == '=') text.pop_back();
  std::string bytes;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t digit = kDigits.find(text[i]);
    REQUIRE(digit != std::string::npos);
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if (i % 4 != 0) bytes += static_cast<char>(bits >> (6 - 2 * (i % 4)) & 0xff);
  }
  return bytes;
}

template <typename Integer>
Integer Quoted(const Json& json) {
  const auto text = json.get<std::string>();
  const Integer value =
      text[0] == '-' ? static_cast<Integer>(std::stoll(text)) : static_cast<Integer>(std::stoull(text));
  REQUIRE(std::to_string(value) == text);
  return value;
}

inline uint64_t Time(const Json& json) {
  const auto value = Quoted<uint64_t>(json);
  REQUIRE(value != 0);
  return value;
}

template <typename Integer = uint32_t>
Integer Plain(const Json& json) {
  REQUIRE(json.is_number_integer());
  const auto value = json.get<Integer>();
  REQUIRE(value != 0);
  return value;
}

inline std::string NotEmpty(const Json& json) {
  REQUIRE_FALSE(json.get<std::string>().empty());
  return json.get<std::string>();
}

inline double FromDouble(const Json& json) {
  if (json.is_number()) return json.get<double>();
  if (json == "NaN") return std::nan("");
  REQUIRE((json == "Infinity" || json == "-Infinity"));
  return json == "Infinity" ? HUGE_VAL : -HUGE_VAL;
}

template <typename Read>
void EachElement(const Json& json, Read read) {
  REQUIRE((json.is_array() && !json.empty()));
  for (const Json& element : json) {
    REQUIRE(element.is_object());
    read(element);
  }
}

inline void ReadKeyValue(const Json& json, opentelemetry::proto::common::v1::KeyValue* kv);

inline void ReadValue(const Json& json, opentelemetry::proto::common::v1::AnyValue* any) {
  REQUIRE((json.is_object() && json.size() <= 1));
  for (const auto& [name, value] : json.items()) {
    if (name == "stringValue") {
      any->set_string_value(value.get<std::string>());
    } else if (name == "boolValue") {
      any->set_bool_value(value.get<bool>());
    } else if (name == "intValue") {
      any->set_int_value(Quoted<int64_t>(value));
    } else if (name == "doubleValue") {
      any->set_double_value(FromDouble(value));
    } else if (name == "bytesValue") {
      any->set_bytes_value(FromBase64(value));
    } else if (name == "arrayValue") {
      auto* array = any->mutable_array_value();
      REQUIRE(value.size() == value.count("values"));
      if (!value.empty()) EachElement(value["values"], [&](const Json& e) { ReadValue(e, array->add_values()); });
    } else {
      REQUIRE(name == "kvlistValue");
      auto* list = any->mutable_kvlist_value();
      REQUIRE(value.size() == value.count("values"));
      if (!value.empty()) EachElement(value["values"], [&](const Json& e) { ReadKeyValue(e, list->add_values()); });
    }
  }
}

inline void ReadKeyValue(const Json& json, opentelemetry::proto::common::v1::KeyValue* kv) {
  for (const auto& [name, value] : json.items()) {
    if (name == "key") {
      kv->set_key(NotEmpty(value));
    } else {
      REQUIRE(name == "value");
      ReadValue(value, kv->mutable_value());
    }
  }
}

// "attributes" and "droppedAttributesCount", which many have. False: another name.
template <typename Message>
bool ReadAttributes(const std::string& name, const Json& value, Message* message) {
  if (name == "attributes") {
    EachElement(value, [&](const Json& e) { ReadKeyValue(e, message->add_attributes()); });
  } else if (name == "droppedAttributesCount") {
    message->set_dropped_attributes_count(Plain(value));
  } else {
    return false;
  }
  return true;
}

inline void ReadEvent(const Json& json, ProtoSpan::Event* event) {
  for (const auto& [name, value] : json.items()) {
    if (ReadAttributes(name, value, event)) continue;
    if (name == "timeUnixNano") {
      event->set_time_unix_nano(Time(value));
    } else {
      REQUIRE(name == "name");
      event->set_name(NotEmpty(value));
    }
  }
}

inline void ReadLink(const Json& json, ProtoSpan::Link* link) {
  for (const auto& [name, value] : json.items()) {
    if (ReadAttributes(name, value, link)) continue;
    if (name == "traceId") {
      link->set_trace_id(FromHex(value));
    } else if (name == "spanId") {
      link->set_span_id(FromHex(value));
    } else if (name == "traceState") {
      link->set_trace_state(NotEmpty(value));
    } else {
      REQUIRE(name == "flags");
      link->set_flags(Plain(value));
    }
  }
}

inline void ReadStatus(const Json& json, opentelemetry::proto::trace::v1::Status* status) {
  for (const auto& [name, value] : json.items()) {
    if (name == "message") {
      status->set_message(NotEmpty(value));
    } else {
      REQUIRE(name == "code");
      status->set_code(static_cast<opentelemetry::proto::trace::v1::Status::StatusCode>(Plain<int32_t>(value)));
    }
  }
}

inline void ReadSpan(const Json& json, ProtoSpan* span) {
  for (const auto& item : json.items()) {
    const std::string& name = item.key();
    const Json& value = item.value();
    if (ReadAttributes(name, value, span)) continue;
    if (name == "traceId") {
      span->set_trace_id(FromHex(value));
    } else if (name == "spanId") {
      span->set_span_id(FromHex(value));
    } else if (name == "parentSpanId") {
      span->set_parent_span_id(FromHex(value));
    } else if (name == "traceState") {
      span->set_trace_state(NotEmpty(value));
    } else if (name == "name") {
      span->set_name(NotEmpty(value));
    } else if (name == "kind") {
      span->set_kind(static_cast<ProtoSpan::SpanKind>(Plain<int32_t>(value)));
    } else if (name == "startTimeUnixNano") {
      span->set_start_time_unix_nano(Time(value));
    } else if (name == "endTimeUnixNano") {
      span->set_end_time_unix_nano(Time(value));
    } else if (name == "events") {
      EachElement(value, [&](const Json& e) { ReadEvent(e, span->add_events()); });
    } else if (name == "links") {
      EachElement(value, [&](const Json& e) { ReadLink(e, span->add_links()); });
    } else if (name == "droppedEventsCount") {
      span->set_dropped_events_count(Plain(value));
    } else if (name == "droppedLinksCount") {
      span->set_dropped_links_count(Plain(value));
    } else if (name == "status") {
      ReadStatus(value, span->mutable_status());
    } else {
      REQUIRE(name == "flags");
      span->set_flags(Plain(value));
    }
  }
}

inline void ReadScopeSpans(const Json& json, opentelemetry::proto::trace::v1::ScopeSpans* scope_spans) {
  for (const auto& item : json.items()) {
    if (item.key() == "spans") {
      EachElement(item.value(), [&](const Json& e) { ReadSpan(e, scope_spans->add_spans()); });
    } else if (item.key() == "schemaUrl") {
      scope_spans->set_schema_url(NotEmpty(item.value()));
    } else {
      REQUIRE(item.key() == "scope");
      auto* scope = scope_spans->mutable_scope();
      for (const auto& [name, value] : item.value().items()) {
        if (ReadAttributes(name, value, scope)) continue;
        REQUIRE((name == "name" || name == "version"));
        (name == "name" ? scope->mutable_name() : scope->mutable_version())->assign(NotEmpty(value));
      }
    }
  }
}

inline Request ReadRequest(const std::string& text) {
  const Json json = Json::parse(text);
  Request request;
  REQUIRE((json.is_object() && json.size() == json.count("resourceSpans")));
  if (json.empty()) return request;
  EachElement(json["resourceSpans"], [&](const Json& element) {
    auto* group = request.add_resource_spans();
    for (const auto& item : element.items()) {
      if (item.key() == "scopeSpans") {
        EachElement(item.value(), [&](const Json& e) { ReadScopeSpans(e, group->add_scope_spans()); });
      } else if (item.key() == "schemaUrl") {
        group->set_schema_url(NotEmpty(item.value()));
      } else {
        REQUIRE(item.key() == "resource");
        auto* resource = group->mutable_resource();
        for (const auto& [name, value] : item.value().items()) REQUIRE(ReadAttributes(name, value, resource));
      }
    }
  });
  return request;
}

}  // namespace spantap::oracle
