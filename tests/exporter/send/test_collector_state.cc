// SPDX-License-Identifier: Apache-2.0
//
// The lines that a person reads about the collector, on a clock of the test's own.
#include <catch2/catch.hpp>

#include "exporter/send/collector_state.h"

namespace spantap {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class Fixture {
 public:
  void Accept(double at) { state.Accepted(At(at), {}, 0); }
  void Fail(double at) {
    SendResult result;
    result.message = "refused";
    state.Unavailable(At(at), result);
  }
  void Refuse(double at, int status) {
    SendResult result;
    result.http_status = status;
    result.message = "HTTP " + std::to_string(status);
    state.Refused(At(at), result, 5);
  }
  static uint64_t At(double seconds) { return 100 * kSecond + static_cast<uint64_t>(seconds * kSecond); }

  std::vector<std::string> lines;
  CollectorState state{"http://c", [this](absl::string_view line) { lines.emplace_back(line); }};
};

TEST_CASE("collector state: one line down, one line up, whatever is in between", "[send]") {
  Fixture f;
  f.Accept(0);
  for (int i = 0; i < 100; ++i) f.Fail(1 + i * 0.01);
  f.Accept(3.5);
  f.Accept(4);
  REQUIRE(f.lines.size() == 2);
  CHECK(f.lines[0] == "collector state=down endpoint=http://c action=\"spans are kept and retried\" cause=\"refused\"");
  CHECK(f.lines[1] == "collector state=up endpoint=http://c action=\"spans are delivered\" down_for=2.5s");
}

TEST_CASE("collector state: flapping each 100 ms for ten minutes is no flood, and the end is told", "[send]") {
  Fixture f;
  for (int i = 0; i < 3000; ++i) {
    f.Fail(i * 0.2);
    f.Accept(i * 0.2 + 0.1);
  }
  CHECK(f.lines.size() <= 2 * 61);
  CHECK(f.lines.size() >= 2 * 50);
  CHECK(f.lines[f.lines.size() - 2].find(" changes=") != std::string::npos);
  f.Fail(1000);
  CHECK(f.lines.back().find("state=down") != std::string::npos);
  f.Accept(1020);
  CHECK(f.lines.back().find("state=up") != std::string::npos);
}

TEST_CASE("collector state: the end of a refusal is told, though its cause changed within the rate limit", "[send]") {
  Fixture f;
  f.Refuse(0, 404);
  f.Refuse(3, 401);
  f.Accept(5);
  REQUIRE(f.lines.size() == 2);
  CHECK(f.lines[1].find("collector state=up") == 0);
}

TEST_CASE("collector state: a refusal is told once per cause, and again each minute", "[send]") {
  Fixture f;
  for (int i = 0; i < 590; ++i) f.Refuse(i * 0.1, 401);
  REQUIRE(f.lines.size() == 1);
  CHECK(f.lines[0] ==
        "collector state=refusing endpoint=http://c action=\"spans are dropped\" dropped=5 cause=\"HTTP 401\"");
  for (int i = 0; i < 10; ++i) f.Refuse(59.1, 404);
  CHECK(f.lines.size() == 2);
  for (int i = 0; i < 10; ++i) f.Refuse(119.2, 404);
  CHECK(f.lines.size() == 3);
}

TEST_CASE("collector state: partial success is told, at most once a minute", "[send]") {
  Fixture f;
  SendResult result;
  result.message = "too old";
  for (int i = 0; i < 599; ++i) f.state.Accepted(Fixture::At(i * 0.1), result, 2);
  REQUIRE(f.lines.size() == 1);
  CHECK(f.lines[0] == "collector accepted in part endpoint=http://c rejected=2 message=\"too old\"");
}

}  // namespace
}  // namespace spantap
