// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/record_attributes.h"

#include <bit>
#include <string>

#include "absl/strings/str_cat.h"
#include "exporter/model/url.h"
#include "spantap/spantap.h"

namespace spantap {
namespace {

static_assert(RecordAttributes::kMaxAttributes == SPANTAP_MAX_ATTRS);
static_assert(SPANTAP_KEY_COUNT_ <= 64, "a bit for each known key");
constexpr uint64_t kNamed = uint64_t{1} << SPANTAP_KEY_NAMED;

enum class UrlPart : uint8_t { kNone, kQuery, kWhole };

// By name, because adapters that write Envoy's style name them themselves.
UrlPart PartOf(absl::string_view name) {
  switch (name.size()) {
    case 8:
      return name == "url.full" || name == "http.url" ? UrlPart::kWhole : UrlPart::kNone;
    case 9:
      return name == "url.query" ? UrlPart::kQuery : UrlPart::kNone;
    case 11:
      return name == "http.target" ? UrlPart::kWhole : UrlPart::kNone;
    default:
      return UrlPart::kNone;
  }
}

}  // namespace

absl::string_view RedactedText(const RecordAttribute& attribute, QueryValues query_values, std::string* storage) {
  const UrlPart part = attribute.text.empty() ? UrlPart::kNone : PartOf(attribute.name);
  if (part == UrlPart::kNone) return attribute.text;
  storage->clear();
  const absl::string_view bounded = attribute.text.substr(0, SPANTAP_MAX_VALUE);
  if (part == UrlPart::kQuery) {
    AppendQuery(bounded, query_values, storage);
    return *storage;
  }
  const Target target = SplitTarget(bounded, false);
  if (!target.scheme.empty()) {
    absl::StrAppend(storage, target.scheme, "://", SplitAuthority(target.authority).host_port);
  }
  AppendPathAndQuery(target, query_values, storage);
  return *storage;
}

bool RecordAttributes::Read(ByteCursor& cursor, size_t count, size_t bytes) {
  absl::string_view part;
  if (!cursor.Take(bytes, &part)) return false;
  ByteCursor own(part);
  return Read(own, count) && own.left() == 0;
}

bool RecordAttributes::Read(ByteCursor& cursor, size_t count) {
  size_ = 0;
  kept_ = 0;
  unknown_ = 0;
  if (count > kMaxAttributes) return false;
  for (size_t i = 0; i < count; ++i) {
    RecordAttribute attribute;
    if (!ReadAttribute(cursor, &attribute)) return false;
    if (attribute.name.empty()) {
      ++unknown_;
    } else {
      Keep(attribute);
    }
  }
  return true;
}

// Most records have each key once and no names of their own: nothing to compare.
bool RecordAttributes::Fresh(const RecordAttribute& attribute) {
  const uint64_t bit = uint64_t{1} << attribute.key;
  const bool fresh = attribute.key != SPANTAP_KEY_NAMED && (kept_ & (bit | kNamed)) == 0;
  kept_ |= bit;
  return fresh;
}

void RecordAttributes::Keep(const RecordAttribute& attribute) {
  if (Fresh(attribute)) {
    list_[size_++] = attribute;
    return;
  }
  for (size_t i = 0; i < size_; ++i) {
    if (list_[i].name == attribute.name) {
      list_[i] = attribute;
      return;
    }
  }
  list_[size_++] = attribute;
}

void RecordAttributes::AppendTo(QueryValues query_values, AttributeBlob* blob) const {
  std::string redacted;
  for (RecordAttribute attribute : *this) {
    attribute.text = RedactedText(attribute, query_values, &redacted);
    AppendAttribute(attribute, blob);
  }
}

void AppendAttribute(const RecordAttribute& attribute, AttributeBlob* blob) {
  switch (attribute.type) {
    case SPANTAP_INT:
      return blob->AddInt(attribute.name, attribute.number);
    case SPANTAP_DOUBLE:
      return blob->AddDouble(attribute.name, std::bit_cast<double>(attribute.number));
    case SPANTAP_BOOL:
      return blob->AddBool(attribute.name, attribute.number != 0);
    default:
      // Semconv: header attributes are lists.
      return attribute.key == SPANTAP_KEY_REQUEST_ID ? blob->AddStringArray1(attribute.name, attribute.text)
                                                     : blob->AddString(attribute.name, attribute.text);
  }
}

}  // namespace spantap
