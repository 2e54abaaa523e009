// SPDX-License-Identifier: Apache-2.0
//
// Records as libspantap.so writes them, and every way in which they can be wrong.
#include <catch2/catch.hpp>

#include <functional>
#include <random>

#include "exporter/intake/attribute_names.h"
#include "exporter/intake/record_to_span.h"
#include "exporter/model/utf8.h"
#include "tests/exporter/intake/record_maker.h"

namespace spantap::handoff_test {
namespace {

std::optional<Span> Decode(const std::string& record) {
  // On the heap at its exact size: a read past the end is seen by AddressSanitizer.
  const std::unique_ptr<char[]> copy(new char[record.size()]);
  std::memcpy(copy.get(), record.data(), record.size());
  RecordDecoder decoder;
  return decoder.RecordToSpan(absl::string_view(copy.get(), record.size()), nullptr);
}

std::string Blob(const std::function<void(AttributeBlob&)>& add) {
  AttributeBlob blob;
  add(blob);
  return std::string(blob.bytes());
}

RecordMaker Full() {
  RecordMaker maker(7);
  maker.state = "a=1,b=2";
  maker.message = "broken";
  maker.fixed.status = SPANTAP_STATUS_ERROR;
  maker.fixed.parent_span_id[3] = 9;
  maker.fixed.parent_is_remote = 1;
  maker.fixed.dropped_attrs = 3;
  maker.fixed.dropped_events = 4;
  maker.fixed.dropped_links = 5;
  maker.With(Text(SPANTAP_KEY_HTTP_REQUEST_METHOD, "GET")).With(Number(SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, 503));
  maker.With(Named("my.own", "x"));
  maker.fixed.event_count = 1;
  maker.events = Event(1500, "retry", 1, Number(SPANTAP_KEY_HTTP_REQUEST_RESEND_COUNT, 2));
  maker.fixed.link_count = 1;
  maker.links = Link(5, "c=3", 1, Named("why", "adopted"));
  return maker;
}

TEST_CASE("record: every field arrives", "[handoff]") {
  const std::optional<Span> span = Decode(Full().Make());
  REQUIRE(span);
  CHECK(span->trace_id.bytes[15] == 1);
  CHECK(span->span_id.bytes[0] == 7);
  CHECK(span->parent_span_id.bytes[3] == 9);
  CHECK(span->parent_is_remote);
  CHECK(span->flags == kFlagSampled);
  CHECK(span->kind == SpanKind::kServer);
  CHECK(span->status == StatusCode::kError);
  CHECK(span->start_unix_ns == 1000);
  CHECK(span->end_unix_ns == 2000);
  CHECK(span->name == "GET /a");
  CHECK(span->trace_state == "a=1,b=2");
  CHECK(span->status_message == "broken");
  CHECK((span->dropped_attributes == 3 && span->dropped_events == 4 && span->dropped_links == 5));
  CHECK(span->attributes.bytes() == Blob([](AttributeBlob& b) {
          b.AddString("http.request.method", "GET");
          b.AddInt("http.response.status_code", 503);
          b.AddString("my.own", "x");
        }));
  REQUIRE(span->events.size() == 1);
  CHECK((span->events[0].name == "retry" && span->events[0].time_unix_ns == 1500));
  CHECK(span->events[0].attributes.bytes() == Blob([](AttributeBlob& b) { b.AddInt("http.request.resend_count", 2); }));
  REQUIRE(span->links.size() == 1);
  CHECK((span->links[0].trace_id.bytes[0] == 5 && span->links[0].trace_state == "c=3"));
  CHECK((span->links[0].is_remote == true && span->links[0].flags == (kFlagSampled | kFlagRandom)));
}

TEST_CASE("record: of attributes with one name the last wins; unknown keys are counted", "[handoff]") {
  RecordMaker maker;
  maker.With(Text(SPANTAP_KEY_HTTP_ROUTE, "/old")).With(Text(60000, "from the future")).With(Named("n", "1"));
  maker.With(Named("http.route", "/new")).With(Named("n", "2"));
  const std::optional<Span> span = Decode(maker.Make());
  REQUIRE(span);
  CHECK(span->dropped_attributes == 1);
  CHECK(span->attributes.bytes() == Blob([](AttributeBlob& b) {
          b.AddString("http.route", "/new");
          b.AddString("n", "2");
        }));
}

TEST_CASE("record: text is repaired, types are kept, header attributes are lists", "[handoff]") {
  RecordMaker maker;
  maker.name = "GET \xff/";
  const double half = 0.5;
  maker.With(Attr(0, SPANTAP_DOUBLE, "d", BytesOf(half))).With(Attr(0, SPANTAP_BOOL, "b", BytesOf(int64_t{2})));
  maker.With(Text(SPANTAP_KEY_REQUEST_ID, "id-1")).With(Named("\xc3", "\xc3(")).With(Named("empty", ""));
  maker.state = "not legal";
  maker.message = "said without an error";
  const std::optional<Span> span = Decode(maker.Make());
  REQUIRE(span);
  CHECK(span->name == "GET \xef\xbf\xbd/");
  CHECK(span->trace_state.empty());
  CHECK(span->status_message.empty());
  CHECK(span->attributes.bytes() == Blob([](AttributeBlob& b) {
          b.AddDouble("d", 0.5);
          b.AddBool("b", true);
          b.AddStringArray1("http.request.header.x-request-id", "id-1");
          b.AddString("\xef\xbf\xbd", "\xef\xbf\xbd(");
          b.AddString("empty", "");
        }));
}

TEST_CASE("record: what may be secret in a URL is redacted, whoever wrote it", "[handoff]") {
  RecordMaker maker;
  maker.With(Text(SPANTAP_KEY_URL_QUERY, "a=1&sig=secret")).With(Named("http.url", "http://u:p@h:1/x?sig=secret"));
  const std::optional<Span> span = Decode(maker.Make());
  REQUIRE(span);
  const absl::string_view bytes = span->attributes.bytes();
  CHECK(bytes.find("secret") == absl::string_view::npos);
  CHECK(bytes.find("u:p") == absl::string_view::npos);
  CHECK(bytes.find("http://h:1/x?sig=REDACTED") != absl::string_view::npos);
  CHECK(bytes.find("a=1&sig=REDACTED") != absl::string_view::npos);
}

TEST_CASE("record: what the library never writes is no span", "[handoff]") {
  struct Row {
    const char* what;
    std::function<void(RecordMaker&)> change;
  };
  const Row rows[] = {
      {"no trace id", [](auto& m) { m.fixed.trace_id[15] = 0; }},
      {"no span id", [](auto& m) { std::memset(m.fixed.span_id, 0, 8); }},
      {"no name", [](auto& m) { m.name.clear(); }},
      {"kind 0", [](auto& m) { m.fixed.kind = 0; }},
      {"kind 6", [](auto& m) { m.fixed.kind = 6; }},
      {"status 3", [](auto& m) { m.fixed.status = 3; }},
      {"ends before it starts", [](auto& m) { m.fixed.end_unix_ns = 999; }},
      {"remote 2", [](auto& m) { m.fixed.parent_is_remote = 2; }},
      {"a pad", [](auto& m) { m.fixed.record.type = SPANTAP_RECORD_PAD; }},
      {"an attribute less", [](auto& m) { ++m.fixed.attr_count; }},
      {"an attribute more", [](auto& m) { m.attrs += Named("more", "x"); }},
      {"too many attributes",
       [](auto& m) {
         for (int i = 0; i < 129; ++i) m.With(Number(SPANTAP_KEY_SERVER_PORT, i));
       }},
      {"an attribute without a name", [](auto& m) { m.With(Named("", "x")); }},
      {"an attribute with two names", [](auto& m) { m.With(Attr(1, SPANTAP_STRING, "n", "x")); }},
      {"a type of attribute", [](auto& m) { m.With(Attr(1, 5, "", "12345678")); }},
      {"a short number", [](auto& m) { m.With(Attr(1, SPANTAP_INT, "", "1234567")); }},
      {"too many events", [](auto& m) { m.fixed.event_count = 129; }},
      {"an event less", [](auto& m) { m.fixed.event_count = 1; }},
      {"too many links", [](auto& m) { m.fixed.link_count = 129; }},
      {"a link without a trace",
       [](auto& m) {
         m.fixed.link_count = 1;
         m.links = Link(0, "", 0, "");
       }},
      {"an event whose attributes are longer than it says",
       [](auto& m) {
         m.fixed.event_count = 1;
         m.events = Event(1, "e", 0, Named("a", "b"));
       }},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    RecordMaker maker;
    REQUIRE(Decode(maker.Make()));
    row.change(maker);
    CHECK_FALSE(Decode(maker.Make()));
  }
}

TEST_CASE("record: cut off anywhere it is no span, whatever its length says", "[handoff]") {
  const std::string whole = Full().Make();
  for (size_t size = 0; size < whole.size(); ++size) {
    std::string cut = whole.substr(0, size);
    CHECK_FALSE(Decode(cut));
    const auto bytes = static_cast<uint32_t>(size);
    if (size < sizeof(bytes)) continue;
    std::memcpy(cut.data(), &bytes, sizeof(bytes));
    // The filling may be cut: it means nothing.
    if (size < whole.size() - 7) CHECK_FALSE(Decode(cut));
  }
}

TEST_CASE("record: any bytes are bounded and any span made of them is sound", "[handoff]") {
  std::mt19937 dice(5);
  const std::string whole = Full().Make();
  int spans = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string record = whole;
    for (unsigned i = dice() % 4; i < 4; ++i) record[8 + dice() % (record.size() - 8)] = static_cast<char>(dice());
    const std::optional<Span> span = Decode(record);
    if (!span) continue;
    ++spans;
    CHECK(span->attributes.count() <= RecordAttributes::kMaxAttributes);
    CHECK(ValidUtf8Prefix(span->name) == span->name.size());
    CHECK((span->trace_id.valid() && span->span_id.valid() && span->end_unix_ns >= span->start_unix_ns));
  }
  CHECK(spans > 1000);
}

TEST_CASE("attribute names: every key of the header has one", "[handoff]") {
  for (uint16_t key = 1; key < SPANTAP_KEY_COUNT_; ++key) CHECK_FALSE(AttributeName(key).empty());
  CHECK(AttributeName(SPANTAP_KEY_NAMED).empty());
  CHECK(AttributeName(SPANTAP_KEY_COUNT_).empty());
  CHECK(AttributeName(65535).empty());
}

}  // namespace
}  // namespace spantap::handoff_test
