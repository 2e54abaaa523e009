// SPDX-License-Identifier: Apache-2.0
//
// W3C Trace Context Level 2 by the specification's own cases, and the sampling of roots and children.
#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <string>

#include "ring_agent.h"

namespace spantap {
namespace {

const std::string kIds = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-";

TEST_CASE("traceparent: what is well formed, and what is not", "[handoff]") {
  struct Row {
    int line;
    std::string value;
    int flags;  // -1: malformed
  };
  const Row rows[] = {
      {__LINE__, "00-" + kIds + "01", 1},
      {__LINE__, "00-" + kIds + "00", 0},
      {__LINE__, "00-" + kIds + "03", 3},
      {__LINE__, "00-" + kIds + "02", 2},
      {__LINE__, "00-" + kIds + "ff", 3},  // unknown bits are cleared
      {__LINE__, " \t00-" + kIds + "01\t ", 1},
      {__LINE__, "cc-" + kIds + "01", 1},
      {__LINE__, "cc-" + kIds + "01-what-the-future-will-be-like", 1},
      {__LINE__, "cc-" + kIds + "01.what-the-future-will-not-be-like", -1},
      {__LINE__, "00-" + kIds + "01-extra", -1},
      {__LINE__, "00-" + kIds + "01.", -1},
      {__LINE__, "ff-" + kIds + "01", -1},
      {__LINE__, "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", -1},
      {__LINE__, "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067aa0ba902b7-01", -1},
      {__LINE__, "CC-" + kIds + "01", -1},
      {__LINE__, "00-" + kIds + "0A", -1},
      {__LINE__, "00-00000000000000000000000000000000-00f067aa0ba902b7-01", -1},
      {__LINE__, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", -1},
      {__LINE__, "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", -1},
      {__LINE__, "00-4bf92f3577b34da6a3ce929d0e0e47360-00f067aa0ba902b7-01", -1},
      {__LINE__, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-01", -1},
      {__LINE__, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b70-01", -1},
      {__LINE__, "00-4bf92f3577b34da6a3ce929d0e0e473.-00f067aa0ba902b7-01", -1},
      {__LINE__, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b.-01", -1},
      {__LINE__, "00-" + kIds + ".0", -1},
      {__LINE__, "00-" + kIds + "0.", -1},
      {__LINE__, "00-" + kIds + "001", -1},
      {__LINE__, "00-" + kIds + "1", -1},
      {__LINE__, "00-" + kIds, -1},
      {__LINE__, "0-" + kIds + "01", -1},
      {__LINE__, "000-" + kIds + "01", -1},
      {__LINE__, "0000-" + kIds + "01", -1},
      {__LINE__, ".0-" + kIds + "01", -1},
      {__LINE__, "00_" + kIds + "01", -1},
      {__LINE__, "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01", -1},
      {__LINE__, "00-" + kIds + "01,00-" + kIds + "01", -1},  // two headers, joined
      {__LINE__, "", -1},
      {__LINE__, "   ", -1},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    spantap_context context;
    memset(&context, 0x5a, sizeof(context));
    const spantap_status status = spantap_extract(Str(row.value), &context);
    CHECK(status == (row.flags < 0 ? SPANTAP_MALFORMED : SPANTAP_OK));
    if (row.flags < 0) {
      const spantap_context none = {};
      CHECK(memcmp(&context, &none, sizeof(none)) == 0);
      continue;
    }
    CHECK(context.flags == row.flags);
    CHECK(context.remote == 1);
    std::string out(SPANTAP_TRACEPARENT_SIZE, 0);
    CHECK(spantap_inject(&context, out.data(), out.size()) == SPANTAP_OK);
    CHECK(out == "00-" + kIds + "0" + std::to_string(row.flags));
  }
}

TEST_CASE("traceparent: every byte at every place is written as its two digits", "[handoff]") {
  for (int byte = 0; byte < 256; ++byte) {
    for (size_t place = 0; place < 24; ++place) {
      spantap_context context = {};
      memset(context.trace_id, 0x9a, sizeof(context.trace_id));
      memset(context.span_id, 0xa9, sizeof(context.span_id));
      (place < 16 ? context.trace_id[place] : context.span_id[place - 16]) = static_cast<uint8_t>(byte);
      std::string wanted = "00-9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a-a9a9a9a9a9a9a9a9-00", text(55, '?');
      const char digits[] = "0123456789abcdef";
      const size_t at = 3 + 2 * place + (place < 16 ? 0 : 1);
      wanted[at] = digits[byte / 16];
      wanted[at + 1] = digits[byte % 16];
      REQUIRE(spantap_inject(&context, text.data(), text.size()) == SPANTAP_OK);
      REQUIRE(text == wanted);
    }
  }
}

TEST_CASE("traceparent: injecting needs ids and room, and leaves the buffer alone otherwise", "[handoff]") {
  spantap_context context = MakeSpan(1).context;
  std::string buffer(60, 'x');
  CHECK(spantap_inject(&context, buffer.data(), 54) == SPANTAP_NO_SPACE);
  memset(context.span_id, 0, 8);
  CHECK(spantap_inject(&context, buffer.data(), 60) == SPANTAP_INVALID);
  context = MakeSpan(1).context;
  memset(context.trace_id, 0, 16);
  CHECK(spantap_inject(&context, buffer.data(), 60) == SPANTAP_INVALID);
  CHECK(buffer == std::string(60, 'x'));
  context = MakeSpan(1).context;
  CHECK(spantap_inject(&context, buffer.data(), 60) == SPANTAP_OK);
  CHECK(buffer.substr(55) == "xxxxx");
}

TEST_CASE("tracestate: well formed or not", "[handoff]") {
  std::string members32, members33;
  for (int i = 0; i < 33; ++i) {
    const std::string member = "k" + std::to_string(i) + "=v";
    if (i < 32) members32 += (i != 0 ? "," : "") + member;
    members33 += (i != 0 ? "," : "") + member;
  }
  const std::string k256(256, 'k'), v256(256, 'v');
  const std::string good[] = {"",
                              "a=1",
                              "a=1,b=2",
                              "a=1 , b=2\t,\tc=3",
                              "a=1,,b=2,",
                              ",",
                              "1a-_*/@b=x",
                              "tenant@system=v",
                              "a= inner space",
                              members32,
                              k256 + "=" + v256};
  const std::string bad[] = {
      "a",         "=1",     "a=",         "A=1",      "a =1",    "-a=1",       "a=1=2",
      "a=1;b=2,c", "a=\x7f", "a=\xc3\xa4", "a=b\x01c", members33, k256 + "k=v", "a=" + v256 + "v",
      "a.b=1"};
  for (const std::string& value : good) {
    INFO(value);
    CHECK(spantap_check_tracestate(Str(value)) == SPANTAP_OK);
  }
  for (const std::string& value : bad) {
    INFO(value);
    CHECK(spantap_check_tracestate(Str(value)) == SPANTAP_MALFORMED);
  }
}

TEST_CASE("sampling: a child keeps trace and decision, and gets an id of its own", "[handoff]") {
  Place place;
  spantap_options options = SPANTAP_OPTIONS_INIT;
  options.sample_ratio = 0;
  Host host(place.socket(), options);
  std::set<std::string> ids;
  for (uint8_t flags = 0; flags < 4; ++flags) {
    spantap_context parent = MakeSpan(1).context, child;
    parent.flags = flags;
    parent.remote = 1;
    for (int i = 0; i < 100; ++i) {
      CHECK(spantap_sample(host.producer, &parent, &child) == (flags & 1));
      CHECK(memcmp(child.trace_id, parent.trace_id, 16) == 0);
      CHECK(child.flags == flags);
      CHECK(child.remote == 0);
      ids.emplace(reinterpret_cast<const char*>(child.span_id), 8);
    }
  }
  CHECK(ids.size() == 400);
}

TEST_CASE("sampling: roots by the ratio, decided by the trace id alone", "[handoff]") {
  const double ratios[] = {0, 0.1, 0.5, 1};
  for (double ratio : ratios) {
    Place place;
    spantap_options options = SPANTAP_OPTIONS_INIT;
    options.sample_ratio = ratio;
    Host host(place.socket(), options);
    const spantap_context no_trace = {};
    int sampled = 0;
    constexpr int kRoots = 20000;
    for (int i = 0; i < kRoots; ++i) {
      spantap_context root;
      const int decision = spantap_sample(host.producer, i % 2 == 0 ? nullptr : &no_trace, &root);
      uint64_t low = 0;
      for (int byte = 9; byte < 16; ++byte) low = low << 8 | root.trace_id[byte];
      REQUIRE(decision == (static_cast<double>(low) >= (1 - ratio) * 72057594037927936.0));
      REQUIRE(root.flags == (SPANTAP_RANDOM | decision));
      sampled += decision;
    }
    CHECK(sampled == Approx(ratio * kRoots).margin(kRoots * 0.02));
  }
}

TEST_CASE("sampling: producers draw different ids", "[handoff]") {
  Place place;
  std::set<std::string> ids;
  for (int i = 0; i < 8; ++i) {
    Host host(place.socket());
    for (int n = 0; n < 1000; ++n) {
      spantap_context root;
      REQUIRE(spantap_sample(host.producer, nullptr, &root) == 1);
      ids.emplace(reinterpret_cast<const char*>(root.trace_id), 16);
    }
  }
  CHECK(ids.size() == 8000);
}

}  // namespace
}  // namespace spantap
