// SPDX-License-Identifier: Apache-2.0
//
// What is left of a span under limits, compared with a span that was built that small.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "exporter/model/limits.h"

namespace spantap {
namespace {

// Attributes of every type; texts cut to `max` characters (they have four: one, two, three and four bytes each).
AttributeBlob Sample(uint32_t count, size_t max = 4) {
  static const absl::string_view kPrefixes[] = {"", "a", "a\xc3\xb6", "a\xc3\xb6\xe2\x82\xac",
                                                "a\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80"};
  const absl::string_view text = kPrefixes[std::min<size_t>(max, 4)];
  const absl::string_view texts[] = {"x", text, ""};
  const absl::string_view cut_texts[] = {texts[0].substr(0, max), text, ""};
  const int64_t ints[] = {1, -1};
  AttributeBlob blob;
  for (uint32_t i = 0; i < count; ++i) {
    const std::string key = "key" + std::to_string(i);
    switch (i % 6) {
      case 0:
        blob.AddString(key, text);
        break;
      case 1:
        blob.AddInt(key, -5);
        break;
      case 2:
        blob.AddStringArray(key, cut_texts);
        break;
      case 3:
        blob.AddBytes(key, absl::string_view("1234").substr(0, max));
        break;
      case 4:
        blob.AddIntArray(key, ints);
        break;
      default:
        blob.AddBool(key, true);
    }
  }
  return blob;
}

Span SampleSpan(uint32_t attributes, size_t events, size_t links, size_t max = 4) {
  Span span;
  span.attributes = Sample(attributes, max);
  for (size_t i = 0; i < events; ++i) {
    span.events.push_back({.time_unix_ns = i, .name = "long event name", .attributes = Sample(attributes, max)});
  }
  for (size_t i = 0; i < links; ++i) {
    span.links.emplace_back().flags = static_cast<uint8_t>(i);
    span.links.back().attributes = Sample(attributes, max);
  }
  return span;
}

TEST_CASE("limits: a span within them is not touched", "[model]") {
  Span span = SampleSpan(128, 128, 128);
  ApplyLimits(SpanLimits(), span);
  CHECK(span.attributes.bytes() == Sample(128).bytes());
  CHECK(span.events.size() == 128);
  CHECK(span.links.size() == 128);
  CHECK((span.dropped_attributes | span.dropped_events | span.dropped_links) == 0);
  CHECK(span.events[5].dropped_attributes == 0);
}

TEST_CASE("limits: what came last goes, and is counted on top of what went before", "[model]") {
  Span span = SampleSpan(20, 9, 7);
  span.dropped_attributes = 100;
  span.dropped_events = 10;
  span.links[1].dropped_attributes = 1;
  ApplyLimits({.attributes = 13, .events = 4, .links = 3, .event_attributes = 5, .link_attributes = 0}, span);
  CHECK(span.attributes.bytes() == Sample(13).bytes());
  CHECK(span.attributes.count() == 13);
  CHECK(span.dropped_attributes == 107);
  REQUIRE(span.events.size() == 4);
  CHECK(span.events[3].time_unix_ns == 3);
  CHECK(span.dropped_events == 15);
  REQUIRE(span.links.size() == 3);
  CHECK(span.links[2].flags == 2);
  CHECK(span.dropped_links == 4);
  for (const SpanEvent& event : span.events) {
    CHECK(event.attributes.bytes() == Sample(5).bytes());
    CHECK(event.dropped_attributes == 15);
  }
  CHECK(span.links[0].attributes.empty());
  CHECK(span.links[0].attributes.bytes().empty());
  CHECK(span.links[0].dropped_attributes == 20);
  CHECK(span.links[1].dropped_attributes == 21);
}

TEST_CASE("limits: every number of attributes", "[model]") {
  for (uint32_t max = 0; max <= 21; ++max) {
    Span span = SampleSpan(20, 0, 0);
    ApplyLimits({.attributes = max}, span);
    CHECK(span.attributes.bytes() == Sample(std::min(max, 20u)).bytes());
    CHECK(span.dropped_attributes == 20 - std::min(max, 20u));
  }
}

TEST_CASE("limits: values are cut in characters, also in arrays; nothing is counted as dropped", "[model]") {
  for (size_t max = 0; max <= 5; ++max) {
    INFO("characters " << max);
    Span span = SampleSpan(20, 2, 2);
    SpanLimits limits;
    limits.value_characters = max;
    ApplyLimits(limits, span);
    CHECK(span.attributes.bytes() == SampleSpan(20, 0, 0, max).attributes.bytes());
    CHECK(span.attributes.count() == 20);
    CHECK(span.events[1].attributes.bytes().size() == Sample(20, max).bytes().size());
    CHECK(span.links[1].attributes.bytes().size() == span.attributes.bytes().size());
    CHECK(span.events[1].name == "long event name");
    CHECK(span.dropped_attributes == 0);
  }
}

TEST_CASE("limits: lengths whose size changes with the cut", "[model]") {
  for (const size_t length : {1u, 100u, 110u, 127u, 128u, 130u, 4000u}) {
    for (const size_t max : {0u, 1u, 90u, 100u, 120u, 126u, 127u, 128u, 3999u, 4000u}) {
      AttributeBlob blob, expected;
      const std::string text(length, 'x');
      blob.AddInt("before", 1);
      blob.AddStringArray1("array", text);
      blob.AddString("key", text);
      blob.AddInt("after", 2);
      blob.CutValues(max);
      expected.AddInt("before", 1);
      expected.AddStringArray1("array", text.substr(0, max));
      expected.AddString("key", text.substr(0, max));
      expected.AddInt("after", 2);
      CHECK(blob.bytes() == expected.bytes());
      CHECK(blob.count() == 4);
    }
  }
}

}  // namespace
}  // namespace spantap
