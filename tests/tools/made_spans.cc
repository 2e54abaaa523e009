// SPDX-License-Identifier: Apache-2.0
//
// One description of a span, told to two writers: the model's and protobuf's. Both hear the same values in the same
// order; neither knows of the other.
#include "tests/tools/made_spans.h"

#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace spantap {
namespace {

using opentelemetry::proto::common::v1::AnyValue;
using opentelemetry::proto::common::v1::KeyValue;
using ProtoKeyValues = google::protobuf::RepeatedPtrField<KeyValue>;
using ProtoSpan = MadeSpans::ProtoSpan;

// splitmix64: two lines that are the same everywhere, which std::mt19937's distributions are not.
class Dice {
 public:
  Dice(uint32_t seed, uint64_t index) : state_((uint64_t{seed} << 32) ^ (index * 0x9e3779b97f4a7c15u)) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t Below(uint64_t n) { return Next() % n; }
  bool Chance(unsigned percent) { return Below(100) < percent; }
  // Of any magnitude, so that varints of each length occur.
  uint64_t Number() { return Next() >> Below(64); }
  int64_t Signed() { return static_cast<int64_t>(Number()) * (Chance(50) ? 1 : -1); }
  double Double() {  // any finite bit pattern, or a plain one
    const uint64_t bits = Next();
    double value;
    std::memcpy(&value, &bits, sizeof(value));
    return Chance(50) && std::isfinite(value) ? value : static_cast<double>(static_cast<int64_t>(bits) >> 40) / 10;
  }
  // Valid UTF-8 with what JSON and percent coding stumble over.
  std::string Text(size_t max_pieces) {
    static constexpr const char* kPieces[] = {
        "GET ",   "/api", "cart", "-",   "7",    ".svc", "\xc3\xb6", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "\"",     "\\",   "\n",   "%20", "\x01", "\x7f", "</b>",     "\xe2\x80\xa8", "x",
        "status", "ok"};
    std::string text;
    for (size_t n = Below(max_pieces + 1); n > 0; --n) text += kPieces[Below(std::size(kPieces))];
    return text;
  }
  template <typename T, typename Make>
  std::vector<T> Several(Make make) {
    std::vector<T> values;
    for (size_t n = Below(4); n > 0; --n) values.push_back(make());
    return values;
  }

 private:
  uint64_t state_;
};

// Attributes of a span, event, link or resource, in each of the two forms.
struct ModelAttributes {
  AttributeBlob* blob;
  void Add(const std::string& key, const std::string& value) { blob->AddString(key, value); }
  void Add(const std::string& key, int64_t value) { blob->AddInt(key, value); }
  void Add(const std::string& key, double value) { blob->AddDouble(key, value); }
  void Add(const std::string& key, bool value) { blob->AddBool(key, value); }
  void AddBytes(const std::string& key, const std::string& value) { blob->AddBytes(key, value); }
  void AddOne(const std::string& key, const std::string& value) { blob->AddStringArray1(key, value); }
  void Add(const std::string& key, const std::vector<std::string>& values) {
    blob->AddStringArray(key, std::vector<absl::string_view>(values.begin(), values.end()));
  }
  void Add(const std::string& key, const std::vector<int64_t>& values) { blob->AddIntArray(key, values); }
  void Add(const std::string& key, const std::vector<double>& values) { blob->AddDoubleArray(key, values); }
  void Add(const std::string& key, const std::vector<bool>& values) {
    bool plain[4] = {};
    for (size_t i = 0; i < values.size(); ++i) plain[i] = values[i];
    blob->AddBoolArray(key, absl::Span<const bool>(plain, values.size()));
  }
};

struct ProtoAttributes {
  ProtoKeyValues* list;
  AnyValue* Value(const std::string& key) {
    KeyValue* pair = list->Add();
    pair->set_key(key);
    return pair->mutable_value();
  }
  static void Set(AnyValue* to, const std::string& value) { to->set_string_value(value); }
  static void Set(AnyValue* to, int64_t value) { to->set_int_value(value); }
  static void Set(AnyValue* to, double value) { to->set_double_value(value); }
  static void Set(AnyValue* to, bool value) { to->set_bool_value(value); }
  template <typename T>
  static void Set(AnyValue* to, const std::vector<T>& values) {
    auto* array = to->mutable_array_value();
    for (const auto& value : values) Set(array->add_values(), value);
  }
  template <typename T>
  void Add(const std::string& key, const T& value) {
    Set(Value(key), value);
  }
  void AddBytes(const std::string& key, const std::string& value) { Value(key)->set_bytes_value(value); }
  void AddOne(const std::string& key, const std::string& value) { Add(key, std::vector<std::string>{value}); }
};

template <typename Attributes>
void AddAttribute(Dice& dice, const std::string& key, Attributes to) {
  switch (dice.Below(14)) {
    default:
      return to.Add(key, dice.Text(8));
    case 5:
    case 6:
      return to.Add(key, dice.Signed());
    case 7:
      return to.Add(key, dice.Double());
    case 8:
      return to.Add(key, dice.Chance(50));
    case 9:
      return to.AddBytes(key, absl::StrCat(absl::string_view("\xff\x00\x80", 3), dice.Text(3)));
    case 10:
      return to.AddOne(key, dice.Text(4));
    case 11:
      return to.Add(key, dice.template Several<std::string>([&] { return dice.Text(3); }));
    case 12:
      return to.Add(key, dice.template Several<int64_t>([&] { return dice.Signed(); }));
    case 13:
      return dice.Chance(50) ? to.Add(key, dice.template Several<double>([&] { return dice.Double(); }))
                             : to.Add(key, dice.template Several<bool>([&] { return dice.Chance(50); }));
  }
}

template <typename Attributes>
void AddAttributes(Dice& dice, size_t count, Attributes to) {
  for (size_t i = 0; i < count; ++i) AddAttribute(dice, absl::StrCat("made.attribute.", i, ".", dice.Below(100)), to);
}

template <typename Id>
Id MakeId(Dice& dice) {
  Id id;
  for (uint8_t& byte : id.bytes) byte = static_cast<uint8_t>(dice.Next());
  id.bytes[0] |= 1;
  return id;
}
template <typename Id>
std::string Bytes(const Id& id) {
  return id.valid() ? std::string(id.bytes.begin(), id.bytes.end()) : "";
}

// What is told to both writers besides attributes.
struct EventFields {
  uint64_t time_unix_ns;
  std::string name;
  uint32_t dropped_attributes;
};
struct LinkFields {
  TraceId trace_id;
  SpanId span_id;
  std::string trace_state;
  uint32_t dropped_attributes;
  uint8_t flags;
  int remote;  // -1: not known
};

struct ModelWriter {
  Span* span;
  ModelAttributes attributes() { return {&span->attributes}; }
  ModelAttributes AddEvent(const EventFields& from) {
    SpanEvent& event = span->events.emplace_back();
    event.time_unix_ns = from.time_unix_ns;
    event.name = from.name;
    event.dropped_attributes = from.dropped_attributes;
    return {&event.attributes};
  }
  ModelAttributes AddLink(const LinkFields& from) {
    SpanLink& link = span->links.emplace_back();
    link.trace_id = from.trace_id;
    link.span_id = from.span_id;
    link.trace_state = from.trace_state;
    link.dropped_attributes = from.dropped_attributes;
    link.flags = from.flags;
    if (from.remote >= 0) link.is_remote = from.remote == 1;
    return {&link.attributes};
  }
  void Finish(Span fields) {
    fields.attributes = std::move(span->attributes);
    fields.events = std::move(span->events);
    fields.links = std::move(span->links);
    *span = std::move(fields);
  }
};

struct ProtoWriter {
  ProtoSpan* span;
  ProtoAttributes attributes() { return {span->mutable_attributes()}; }
  ProtoAttributes AddEvent(const EventFields& from) {
    auto* event = span->add_events();
    event->set_time_unix_nano(from.time_unix_ns);
    event->set_name(from.name);
    event->set_dropped_attributes_count(from.dropped_attributes);
    return {event->mutable_attributes()};
  }
  ProtoAttributes AddLink(const LinkFields& from) {
    auto* link = span->add_links();
    link->set_trace_id(Bytes(from.trace_id));
    link->set_span_id(Bytes(from.span_id));
    link->set_trace_state(from.trace_state);
    link->set_dropped_attributes_count(from.dropped_attributes);
    link->set_flags(from.flags | (from.remote >= 0 ? 0x100u : 0u) | (from.remote == 1 ? 0x200u : 0u));
    return {link->mutable_attributes()};
  }
  void Finish(const Span& from) {
    span->set_trace_id(Bytes(from.trace_id));
    span->set_span_id(Bytes(from.span_id));
    span->set_parent_span_id(Bytes(from.parent_span_id));
    span->set_trace_state(from.trace_state);
    span->set_name(from.name);
    span->set_kind(static_cast<ProtoSpan::SpanKind>(from.kind));
    span->set_start_time_unix_nano(from.start_unix_ns);
    span->set_end_time_unix_nano(from.end_unix_ns);
    span->set_dropped_attributes_count(from.dropped_attributes);
    span->set_dropped_events_count(from.dropped_events);
    span->set_dropped_links_count(from.dropped_links);
    span->set_flags(from.flags | 0x100u | (from.parent_is_remote ? 0x200u : 0u));
    if (from.status == StatusCode::kUnset && from.status_message.empty()) return;
    span->mutable_status()->set_message(from.status_message);
    span->mutable_status()->set_code(static_cast<opentelemetry::proto::trace::v1::Status::StatusCode>(from.status));
  }
};

uint32_t RareCount(Dice& dice) { return dice.Chance(10) ? static_cast<uint32_t>(dice.Number()) : 0; }

// Everything but ids, collections and the resource.
Span MakeFields(Dice& dice) {
  Span span;
  span.flags = static_cast<uint8_t>(dice.Below(4));
  span.parent_is_remote = dice.Chance(50);
  span.kind = static_cast<SpanKind>(1 + dice.Below(5));
  span.status = static_cast<StatusCode>(dice.Chance(70) ? 0 : dice.Below(3));
  span.start_unix_ns = dice.Chance(95) ? 1'790'000'000'000'000'000u + dice.Below(1u << 30) * 1000 : dice.Number();
  span.end_unix_ns = dice.Chance(95) ? span.start_unix_ns + dice.Below(1u << 30) : dice.Number();
  span.dropped_attributes = RareCount(dice);
  span.dropped_events = RareCount(dice);
  span.dropped_links = RareCount(dice);
  span.name = absl::StrCat("GET /made/", dice.Text(4));
  if (dice.Chance(20)) span.trace_state = absl::StrCat("made=", dice.Below(1000), ",other=x");
  if (span.status != StatusCode::kUnset && dice.Chance(50)) span.status_message = dice.Text(5);
  return span;
}

// Big-endian, so that the index can be read off the id's hex digits.
SpanId IdOf(uint32_t seed, uint32_t index) {
  SpanId id;
  const uint64_t both = uint64_t{seed} << 32 | index;
  for (size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<uint8_t>(both >> (56 - 8 * i));
  return id;
}

template <typename Writer>
void Describe(uint32_t seed, uint32_t index, const std::string& filler, Writer to) {
  Dice dice(seed, index);
  Dice trace_dice(seed, index / 4);  // four spans to a trace
  Span fields = MakeFields(dice);
  fields.trace_id = MakeId<TraceId>(trace_dice);
  fields.span_id = IdOf(seed, index);
  if (dice.Chance(70)) fields.parent_span_id = MakeId<SpanId>(dice);
  AddAttributes(dice, dice.Below(10), to.attributes());
  if (!filler.empty()) {
    for (size_t at = 0; at < filler.size(); at += kMaxAttributeValueBytes) {
      to.attributes().Add(absl::StrCat("filler.", at), filler.substr(at, kMaxAttributeValueBytes));
    }
  }
  for (size_t n = dice.Chance(15) ? 1 + dice.Below(3) : 0; n > 0; --n) {
    const EventFields event = {dice.Number(), dice.Text(3), RareCount(dice)};
    AddAttributes(dice, dice.Below(3), to.AddEvent(event));
  }
  for (size_t n = dice.Chance(15) ? 1 + dice.Below(3) : 0; n > 0; --n) {
    LinkFields link = {};
    link.trace_id = MakeId<TraceId>(dice);
    if (dice.Chance(80)) link.span_id = MakeId<SpanId>(dice);
    if (dice.Chance(50)) link.trace_state = "made=link";
    link.dropped_attributes = RareCount(dice);
    link.flags = static_cast<uint8_t>(dice.Below(4));
    link.remote = static_cast<int>(dice.Below(3)) - 1;
    AddAttributes(dice, dice.Below(3), to.AddLink(link));
  }
  to.Finish(std::move(fields));
}

}  // namespace

MadeSpans::MadeSpans(uint32_t seed, size_t filler)
    : seed_(seed), filler_(filler, 'f'), proto_resources_(kResources), schema_urls_(kResources) {
  for (uint32_t i = 0; i + 1 < kResources; ++i) {
    auto resource = std::make_shared<Resource>();
    resource->service_name = absl::StrCat("made-", i);
    ModelAttributes{&resource->attributes}.Add("service.name", resource->service_name);
    ProtoAttributes{proto_resources_[i].mutable_attributes()}.Add("service.name", resource->service_name);
    Dice model_dice(seed, ~uint64_t{i}), proto_dice(seed, ~uint64_t{i});
    AddAttributes(model_dice, 2 * i, ModelAttributes{&resource->attributes});
    AddAttributes(proto_dice, 2 * i, ProtoAttributes{proto_resources_[i].mutable_attributes()});
    if (i % 2 == 1) schema_urls_[i] = absl::StrCat("https://opentelemetry.io/schemas/1.", i, ".0");
    resource->schema_url = schema_urls_[i];
    resource->dropped_attributes = i;
    proto_resources_[i].set_dropped_attributes_count(i);
    resources_.push_back(std::move(resource));
  }
  resources_.push_back(nullptr);
}

Span MadeSpans::Model(uint32_t index) const {
  Span span;
  Describe(seed_, index, filler_, ModelWriter{&span});
  span.resource = resources_[Which(index)];
  return span;
}

void MadeSpans::Proto(uint32_t index, ProtoSpan* proto) const {
  proto->Clear();
  Describe(seed_, index, filler_, ProtoWriter{proto});
}

std::optional<MadeSpans::Key> MadeSpans::KeyOf(absl::string_view span_id) {
  if (span_id.size() != sizeof(uint64_t)) return std::nullopt;
  uint64_t both = 0;
  for (const char byte : span_id) both = both << 8 | static_cast<uint8_t>(byte);
  return Key{static_cast<uint32_t>(both >> 32), static_cast<uint32_t>(both)};
}

}  // namespace spantap
