// SPDX-License-Identifier: Apache-2.0
#include "agent/link/handed_hints.h"

#include "absl/strings/numbers.h"
#include "agent/link/head_digest.h"
#include "exporter/model/wire_reader.h"

namespace spantap {
namespace {

// Field numbers of opentelemetry.proto.common.v1: KeyValue and AnyValue.
constexpr uint32_t kKey = 1, kValue = 2, kString = 1, kInt = 3, kArray = 5, kArrayValues = 1;

struct Value {
  absl::string_view text;
  int64_t number = 0;
};

// The first text of an array, too: semconv has header attributes as lists.
Value ReadValue(absl::string_view any) {
  Value value;
  WireReader reader(any);
  for (WireField field; reader.Next(&field);) {
    if (field.Is(kString, WireType::kLength)) value.text = field.bytes;
    if (field.Is(kInt, WireType::kVarint)) value.number = static_cast<int64_t>(field.value);
    if (!field.Is(kArray, WireType::kLength)) continue;
    WireReader values(field.bytes);
    if (WireField first; values.Next(&first) && first.Is(kArrayValues, WireType::kLength))
      return ReadValue(first.bytes);
  }
  return value;
}

// Never empty: "http://h?q" asks for "/" (RFC 9112 section 3.2.1).
absl::string_view PathOf(absl::string_view url) {
  const absl::string_view origin = OriginForm(url);
  const absl::string_view path = origin.substr(0, origin.find_first_of("?#"));
  return path.empty() ? absl::string_view("/") : path;
}

void Take(absl::string_view key, const Value& value, HandedHints* hints) {
  if (key == "url.path" || key == "url.full" || key == "http.url" || key == "http.target") {
    if (!value.text.empty()) hints->path = PathOf(value.text);
  } else if (key == "http.response.status_code" || key == "http.status_code") {
    hints->status = value.number;
    if (!value.text.empty() && !absl::SimpleAtoi(value.text, &hints->status)) hints->status = 0;
  } else if (key == "http.request.header.x-request-id" || key == "guid:x-request-id") {
    hints->request_id = value.text;
  }
}

}  // namespace

HandedHints ReadHints(const AttributeBlob& attributes) {
  HandedHints hints;
  WireReader reader(attributes.bytes());
  for (WireField attribute; reader.Next(&attribute);) {
    absl::string_view key;
    Value value;
    WireReader parts(attribute.bytes);
    for (WireField part; parts.Next(&part);) {
      if (part.Is(kKey, WireType::kLength)) key = part.bytes;
      if (part.Is(kValue, WireType::kLength)) value = ReadValue(part.bytes);
    }
    Take(key, value, &hints);
  }
  return hints;
}

bool Agrees(const HandedHints& hints, const Exchange& exchange) {
  if (!hints.path.empty() && PathOf(exchange.request.target) != hints.path) return false;
  return hints.status == 0 || !exchange.response || exchange.response->status == hints.status;
}

}  // namespace spantap
