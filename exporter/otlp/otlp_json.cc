// SPDX-License-Identifier: Apache-2.0
//
// Each message is walked once for its single fields (the last of each counts, as in protobuf) and for where its
// repeated fields begin and end, then once for each repeated field that is there. A walk skips what is inside of a
// field, so that the whole costs a few looks at each tag, whatever the bytes are.
//
// A message field that is there twice is not merged, as protobuf would do: the last counts. No encoder writes that.
#include "exporter/otlp/otlp_json.h"

#include <bit>

#include "exporter/model/wire_reader.h"
#include "exporter/otlp/json_writer.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.npb.h"

#define TAG(name) opentelemetry_proto_##name##_tag

namespace spantap {
namespace {

// Of values in the arrays and lists of an attribute. Deeper ones come out as {}: the rest of the batch is worth having.
constexpr int kMaxDepth = 32;

// The fields of one message. `types`: the wire type of each number from 1 on (b: bytes, v: varint, 8, 4: fixed, '-':
// no such field); what is of another type is unknown, as for protobuf.
class Fields {
 public:
  Fields(absl::string_view message, absl::string_view types) {
    WireReader reader(message);
    for (WireField field; reader.Next(&field);) {
      if (field.number > types.size() || types[field.number - 1] != "v8b--4"[static_cast<int>(field.type)]) continue;
      Slot& slot = slots_[field.number - 1];
      if (slot.first == nullptr) slot.first = field.whole.data();
      slot.end = field.whole.data() + field.whole.size();
      slot.last = field.bytes;
      slot.value = field.value;
    }
    ok_ = reader.ok();
  }

  bool ok() const { return ok_; }
  bool has(uint32_t number) const { return slots_[number - 1].first != nullptr; }
  absl::string_view bytes(uint32_t number) const { return slots_[number - 1].last; }
  uint64_t value(uint32_t number) const { return slots_[number - 1].value; }
  uint32_t value32(uint32_t number) const { return static_cast<uint32_t>(value(number)); }
  // The part of the message from the first to the last of a repeated field.
  absl::string_view part(uint32_t number) const {
    const Slot& slot = slots_[number - 1];
    return absl::string_view(slot.first, static_cast<size_t>(slot.end - slot.first));
  }

 private:
  static constexpr size_t kMaxNumber = 16;  // Span.flags
  struct Slot {
    const char* first = nullptr;
    const char* end = nullptr;
    absl::string_view last;
    uint64_t value = 0;
  };
  Slot slots_[kMaxNumber];
  bool ok_;
};

class Transcoder {
 public:
  explicit Transcoder(JsonWriter& out) : out_(out) {}
  bool Request(absl::string_view message);

 private:
  using Element = bool (Transcoder::*)(absl::string_view);

  bool ResourceSpans(absl::string_view message);
  bool Resource(absl::string_view message);
  bool ScopeSpans(absl::string_view message);
  bool Scope(absl::string_view message);
  bool Span(absl::string_view message);
  bool Event(absl::string_view message);
  bool Link(absl::string_view message);
  bool Status(absl::string_view message);
  bool KeyValue(absl::string_view message);
  bool AnyValue(absl::string_view message);
  bool Value(const WireField& value);

  // The members of an object. Those that have their default value are left out.
  void Text(absl::string_view name, absl::string_view text) {
    if (text.empty()) return;
    out_.Raw(name);
    out_.Text(text);
  }
  void Hex(absl::string_view name, absl::string_view bytes) {
    if (bytes.empty()) return;
    out_.Raw(name);
    out_.Hex(bytes);
  }
  void Time(absl::string_view name, uint64_t value) {
    if (value == 0) return;
    out_.Raw(name);
    out_.QuotedNumber(value);
  }
  template <typename Integer>
  void Number(absl::string_view name, Integer value) {
    if (value == 0) return;
    out_.Raw(name);
    out_.Number(value);
  }
  bool Message(absl::string_view name, const Fields& fields, uint32_t number, Element element) {
    if (!fields.has(number)) return true;
    out_.Raw(name);
    return (this->*element)(fields.bytes(number));
  }
  bool Array(absl::string_view name, const Fields& fields, uint32_t number, Element element) {
    if (!fields.has(number)) return true;
    out_.Raw(name);
    const auto start = out_.Open();
    WireReader reader(fields.part(number));
    for (WireField field; reader.Next(&field);) {
      if (!field.Is(number, WireType::kLength)) continue;
      out_.Comma();
      if (!(this->*element)(field.bytes)) return false;
    }
    out_.CloseArray(start);
    return true;
  }
  bool Attributes(const Fields& fields, uint32_t number) {
    return Array(",\"attributes\":", fields, number, &Transcoder::KeyValue);
  }
  // An object with one array, as values have.
  bool List(absl::string_view message, Element element);

  JsonWriter& out_;
  int depth_ = 0;
};

bool Transcoder::Request(absl::string_view message) {
  const Fields fields(message, "b");
  const auto start = out_.Open();
  const bool ok = fields.ok() &&
                  Array(",\"resourceSpans\":", fields, TAG(collector_trace_v1_ExportTraceServiceRequest_resource_spans),
                        &Transcoder::ResourceSpans);
  out_.CloseObject(start);
  return ok;
}

bool Transcoder::ResourceSpans(absl::string_view message) {
  const Fields fields(message, "bbb");
  const auto start = out_.Open();
  const bool ok = fields.ok() &&
                  Message(",\"resource\":", fields, TAG(trace_v1_ResourceSpans_resource), &Transcoder::Resource) &&
                  Array(",\"scopeSpans\":", fields, TAG(trace_v1_ResourceSpans_scope_spans), &Transcoder::ScopeSpans);
  Text(",\"schemaUrl\":", fields.bytes(TAG(trace_v1_ResourceSpans_schema_url)));
  out_.CloseObject(start);
  return ok;
}

bool Transcoder::Resource(absl::string_view message) {
  const Fields fields(message, "bv");
  const auto start = out_.Open();
  const bool ok = fields.ok() && Attributes(fields, TAG(resource_v1_Resource_attributes));
  Number(",\"droppedAttributesCount\":", fields.value32(TAG(resource_v1_Resource_dropped_attributes_count)));
  out_.CloseObject(start);
  return ok;
}

bool Transcoder::ScopeSpans(absl::string_view message) {
  const Fields fields(message, "bbb");
  const auto start = out_.Open();
  const bool ok = fields.ok() && Message(",\"scope\":", fields, TAG(trace_v1_ScopeSpans_scope), &Transcoder::Scope) &&
                  Array(",\"spans\":", fields, TAG(trace_v1_ScopeSpans_spans), &Transcoder::Span);
  Text(",\"schemaUrl\":", fields.bytes(TAG(trace_v1_ScopeSpans_schema_url)));
  out_.CloseObject(start);
  return ok;
}

bool Transcoder::Scope(absl::string_view message) {
  const Fields fields(message, "bbbv");
  const auto start = out_.Open();
  Text(",\"name\":", fields.bytes(TAG(common_v1_InstrumentationScope_name)));
  Text(",\"version\":", fields.bytes(TAG(common_v1_InstrumentationScope_version)));
  const bool ok = fields.ok() && Attributes(fields, TAG(common_v1_InstrumentationScope_attributes));
  Number(",\"droppedAttributesCount\":", fields.value32(TAG(common_v1_InstrumentationScope_dropped_attributes_count)));
  out_.CloseObject(start);
  return ok;
}

bool Transcoder::Span(absl::string_view message) {
  const Fields fields(message, "bbbbbv88bvbvbvb4");
  const auto start = out_.Open();
  Hex(",\"traceId\":", fields.bytes(TAG(trace_v1_Span_trace_id)));
  Hex(",\"spanId\":", fields.bytes(TAG(trace_v1_Span_span_id)));
  Text(",\"traceState\":", fields.bytes(TAG(trace_v1_Span_trace_state)));
  Hex(",\"parentSpanId\":", fields.bytes(TAG(trace_v1_Span_parent_span_id)));
  Text(",\"name\":", fields.bytes(TAG(trace_v1_Span_name)));
  Number(",\"kind\":", static_cast<int32_t>(fields.value32(TAG(trace_v1_Span_kind))));
  Time(",\"startTimeUnixNano\":", fields.value(TAG(trace_v1_Span_start_time_unix_nano)));
  Time(",\"endTimeUnixNano\":", fields.value(TAG(trace_v1_Span_end_time_unix_nano)));
  bool ok = fields.ok() && Attributes(fields, TAG(trace_v1_Span_attributes));
  Number(",\"droppedAttributesCount\":", fields.value32(TAG(trace_v1_Span_dropped_attributes_count)));
  ok = ok && Array(",\"events\":", fields, TAG(trace_v1_Span_events), &Transcoder::Event);
  Number(",\"droppedEventsCount\":", fields.value32(TAG(trace_v1_Span_dropped_events_count)));
  ok = ok && Array(",\"links\":", fields, TAG(trace_v1_Span_links), &Transcoder::Link);
  Number(",\"droppedLinksCount\":", fields.value32(TAG(trace_v1_Span_dropped_links_count)));
  ok = ok && Message(",\"status\":", fields, TAG(trace_v1_Span_status), &Transcoder::Status);
  Number(",\"flags\":", fields.value32(TAG(trace_v1_Span_flags)));
  out_.CloseObject(start);
  return ok;
}

bool Transcoder::Event(absl::string_view message) {
  const Fields fields(message, "8bbv");
  const auto start = out_.Open();
  Time(",\"timeUnixNano\":", fields.value(TAG(trace_v1_Span_Event_time_unix_nano)));
  Text(",\"name\":", fields.bytes(TAG(trace_v1_Span_Event_name)));
  const bool ok = fields.ok() && Attributes(fields, TAG(trace_v1_Span_Event_attributes));
  Number(",\"droppedAttributesCount\":", fields.value32(TAG(trace_v1_Span_Event_dropped_attributes_count)));
  out_.CloseObject(start);
  return ok;
}

bool Transcoder::Link(absl::string_view message) {
  const Fields fields(message, "bbbbv4");
  const auto start = out_.Open();
  Hex(",\"traceId\":", fields.bytes(TAG(trace_v1_Span_Link_trace_id)));
  Hex(",\"spanId\":", fields.bytes(TAG(trace_v1_Span_Link_span_id)));
  Text(",\"traceState\":", fields.bytes(TAG(trace_v1_Span_Link_trace_state)));
  const bool ok = fields.ok() && Attributes(fields, TAG(trace_v1_Span_Link_attributes));
  Number(",\"droppedAttributesCount\":", fields.value32(TAG(trace_v1_Span_Link_dropped_attributes_count)));
  Number(",\"flags\":", fields.value32(TAG(trace_v1_Span_Link_flags)));
  out_.CloseObject(start);
  return ok;
}

bool Transcoder::Status(absl::string_view message) {
  const Fields fields(message, "-bv");
  const auto start = out_.Open();
  Text(",\"message\":", fields.bytes(TAG(trace_v1_Status_message)));
  Number(",\"code\":", static_cast<int32_t>(fields.value32(TAG(trace_v1_Status_code))));
  out_.CloseObject(start);
  return fields.ok();
}

// The two that are there ten times a span are read without the slots.
bool Transcoder::KeyValue(absl::string_view message) {
  absl::string_view key, value;
  bool has_value = false;
  WireReader reader(message);
  for (WireField field; reader.Next(&field);) {
    if (field.Is(TAG(common_v1_KeyValue_key), WireType::kLength)) key = field.bytes;
    if (field.Is(TAG(common_v1_KeyValue_value), WireType::kLength)) {
      value = field.bytes;
      has_value = true;
    }
  }
  const auto start = out_.Open();
  Text(",\"key\":", key);
  if (has_value) {
    out_.Raw(",\"value\":");
    if (!AnyValue(value)) return false;
  }
  out_.CloseObject(start);
  return reader.ok();
}

bool Transcoder::AnyValue(absl::string_view message) {
  constexpr absl::string_view kTypes = "bvv8bbb";
  WireField value;  // the last one: they are alternatives
  WireReader reader(message);
  for (WireField field; reader.Next(&field);) {
    if (field.number <= kTypes.size() && kTypes[field.number - 1] == "v8b--4"[static_cast<int>(field.type)]) {
      value = field;
    }
  }
  if (!reader.ok()) return false;
  const auto start = out_.Open();
  if (depth_ < kMaxDepth) {
    ++depth_;
    if (!Value(value)) return false;
    --depth_;
  }
  out_.CloseObject(start);
  return true;
}

bool Transcoder::Value(const WireField& value) {
  switch (value.number) {
    case TAG(common_v1_AnyValue_string_value):
      out_.Raw(",\"stringValue\":");
      out_.Text(value.bytes);
      return true;
    case TAG(common_v1_AnyValue_bool_value):
      out_.Raw(value.value != 0 ? ",\"boolValue\":true" : ",\"boolValue\":false");
      return true;
    case TAG(common_v1_AnyValue_int_value):
      out_.Raw(",\"intValue\":");
      out_.QuotedNumber(static_cast<int64_t>(value.value));
      return true;
    case TAG(common_v1_AnyValue_double_value):
      out_.Raw(",\"doubleValue\":");
      out_.Double(std::bit_cast<double>(value.value));
      return true;
    case TAG(common_v1_AnyValue_array_value):
      out_.Raw(",\"arrayValue\":");
      return List(value.bytes, &Transcoder::AnyValue);
    case TAG(common_v1_AnyValue_kvlist_value):
      out_.Raw(",\"kvlistValue\":");
      return List(value.bytes, &Transcoder::KeyValue);
    case TAG(common_v1_AnyValue_bytes_value):
      out_.Raw(",\"bytesValue\":");
      out_.Base64(value.bytes);
      return true;
    default:
      return true;  // none: {}
  }
}

bool Transcoder::List(absl::string_view message, Element element) {
  static_assert(TAG(common_v1_ArrayValue_values) == TAG(common_v1_KeyValueList_values));
  const Fields fields(message, "b");
  const auto start = out_.Open();
  const bool ok = fields.ok() && Array(",\"values\":", fields, TAG(common_v1_ArrayValue_values), element);
  out_.CloseObject(start);
  return ok;
}

}  // namespace

bool RequestToJson(absl::string_view untrusted_request, std::string* json) {
  JsonWriter out(json, untrusted_request.size() * 2 + 64);
  const bool ok = Transcoder(out).Request(untrusted_request);
  out.Finish();
  return ok;
}

}  // namespace spantap
