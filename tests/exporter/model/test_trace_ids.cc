// SPDX-License-Identifier: Apache-2.0
//
// Derived and generated ids, and the sampling decision.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "exporter/model/trace_context.h"

namespace spantap {
namespace {

TEST_CASE("request id: a UUID gives its bytes, whatever Envoy wrote into the version digit", "[model]") {
  const std::string expected = "00000000111142228333444455556666";
  for (const std::string id : {"00000000-1111-4222-8333-444455556666", "00000000-1111-9222-8333-444455556666",
                               "00000000-1111-a222-8333-444455556666", "00000000-1111-b222-8333-444455556666",
                               "00000000-1111-B222-8333-444455556666"}) {
    INFO(id);
    REQUIRE(TraceIdFromRequestId(id).has_value());
    CHECK(FormatHex(*TraceIdFromRequestId(id)) == expected);
  }
  CHECK(FormatHex(*TraceIdFromRequestId("ABCDEF01-2345-4789-abcd-EF0123456789")) == "abcdef0123454789abcdef0123456789");
  CHECK(FormatHex(*TraceIdFromRequestId("00000000-0000-0000-0000-000000000000")) == "00000000000040000000000000000000");
}

TEST_CASE("request id: other values are hashed, and the hash never changes", "[model]") {
  CHECK_FALSE(TraceIdFromRequestId("").has_value());
  // Frozen: nodes of different versions must agree. A change of these values breaks traces in the field.
  CHECK(FormatHex(*TraceIdFromRequestId("req-12345678")) == "f03b7f038dddc311a9ceec80c9cad756");
  CHECK(FormatHex(*TraceIdFromRequestId("60e82827a270070cfbda38c6f30f478a")) == "784d35a81d3463181590f77a1e28a046");
  CHECK(FormatHex(*TraceIdFromRequestId(std::string(300, 'x'))) == "125237ea2ad7bc7aa5d1b4607dc83554");
  // Nearly UUIDs are none.
  std::set<std::string> ids;
  for (const std::string id : {"00000000-1111-4222-8333-44445555666", "00000000-1111-4222-8333-4444555566667",
                               "00000000-1111-g222-8333-444455556666", "00000000-1111--222-8333-444455556666",
                               "00000000_1111_4222_8333_444455556666", "000000001-111-4222-8333-444455556666",
                               " 00000000-1111-4222-8333-444455556666", "x"}) {
    INFO(id);
    const auto trace_id = TraceIdFromRequestId(id);
    REQUIRE(trace_id.has_value());
    CHECK(trace_id->valid());
    CHECK(FormatHex(*trace_id) != "00000000111142228333444455556666");
    ids.insert(FormatHex(*trace_id));
  }
  CHECK(ids.size() == 8);
}

TEST_CASE("generators: ids are valid and differ; a seed repeats them", "[model]") {
  RandomIds random, other;
  std::set<std::string> seen;
  for (int i = 0; i < 20000; ++i) {
    const TraceId trace_id = random.NewTraceId();
    const SpanId span_id = other.NewSpanId();
    REQUIRE(trace_id.valid());
    REQUIRE(span_id.valid());
    seen.insert(FormatHex(trace_id));
    seen.insert(FormatHex(span_id));
  }
  CHECK(seen.size() == 40000);
  SeededIds a(7), b(7), c(8);
  const TraceId first = a.NewTraceId();
  CHECK(first == b.NewTraceId());
  CHECK(first != c.NewTraceId());
  CHECK(a.NewSpanId() == b.NewSpanId());
}

TEST_CASE("generators: every bit of an id is set half of the time", "[model]") {
  RandomIds random;
  constexpr int kRounds = 20000;
  std::array<int, 128> ones = {};
  for (int i = 0; i < kRounds; ++i) {
    const TraceId id = random.NewTraceId();
    for (size_t bit = 0; bit < 128; ++bit) ones[bit] += id.bytes[bit / 8] >> bit % 8 & 1;
  }
  // Six standard deviations: fails by chance once in some 10^6 runs of all 128.
  for (size_t bit = 0; bit < 128; ++bit) CHECK(std::abs(ones[bit] - kRounds / 2) < 6 * std::sqrt(kRounds) / 2);
}

TEST_CASE("sampling: edges, share, monotone", "[model]") {
  TraceId lowest, highest, middle;
  lowest.bytes[0] = 1;  // randomness: the low 56 bits, all zero
  highest.bytes.fill(0xff);
  middle.bytes[9] = 0x80;
  for (const double none : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_FALSE(SampledByRatio(highest, none));
  }
  for (const double all : {1.0, 2.0, std::numeric_limits<double>::infinity()}) CHECK(SampledByRatio(lowest, all));
  CHECK(SampledByRatio(highest, 1e-9));
  CHECK_FALSE(SampledByRatio(lowest, 0.999999));
  CHECK(SampledByRatio(middle, 0.5));
  CHECK_FALSE(SampledByRatio(middle, 0.4999));

  SeededIds ids(1);
  int sampled = 0;
  for (int i = 0; i < 20000; ++i) {
    const TraceId id = ids.NewTraceId();
    bool before = false;
    for (const double ratio : {0.01, 0.1, 0.25, 0.5, 0.9}) {
      const bool now = SampledByRatio(id, ratio);
      REQUIRE((now || !before));
      before = now;
    }
    sampled += SampledByRatio(id, 0.25);
  }
  CHECK(std::abs(sampled - 5000) < 6 * 61);  // 61: the standard deviation
}

}  // namespace
}  // namespace spantap
