// SPDX-License-Identifier: Apache-2.0
//
// The promise about losses, tried on random traffic: without loss every exchange is reported; with any
// loss no pair is wrong, and every request that was reported is finished.
#include <catch2/catch.hpp>
#include <random>

#include "absl/strings/numbers.h"
#include "tests/agent/connections/exchange_log.h"
#include "tests/agent/connections/traffic.h"

namespace spantap {
namespace {

// "" if the exchange says what was on the wire.
std::string Wrong(const Exchange& x, const RandomTraffic& traffic) {
  int id = 0;
  if (!absl::SimpleAtoi(x.request.target.substr(1), &id)) return absl::StrCat("target ", x.request.target);
  if (id < 1 || id > traffic.sent || x.request.method != traffic.methods[static_cast<size_t>(id)]) {
    return absl::StrCat("request ", x.request.method, " ", x.request.target);
  }
  if (!x.response) return "";
  if (x.response->status != StatusOf(id)) return absl::StrCat("status ", x.response->status, " for ", id);
  const absl::string_view said = x.response->Find("x-id");
  if (said.data() != nullptr && said != absl::StrCat(id)) return absl::StrCat("answer ", said, " for ", id);
  return said.data() == nullptr && !x.response->truncated ? "no id" : "";
}

struct Outcome {
  int pairs = 0;
  std::string wrong;
};

Outcome RunTraffic(RandomTraffic& traffic, TestTable& t) {
  t.Send(traffic.events);
  t.table.FinishAll(traffic.events.now_ns());
  Outcome outcome;
  for (const auto& x : t.log.finished) {
    if (outcome.wrong.empty()) outcome.wrong = Wrong(*x, traffic);
    outcome.pairs += x->response.has_value() && x->error == ExchangeError::kNone;
  }
  if (!t.log.failures.empty()) outcome.wrong = t.log.failures[0];
  return outcome;
}

TrafficOptions OptionsOf(uint32_t seed) {
  TrafficOptions options;
  options.client = seed % 2 == 1;
  options.pipelined = seed % 3 == 1;
  options.from_start = seed % 5 != 2;
  options.open = seed % 7 != 3;
  return options;
}

TEST_CASE("pairing: without loss every exchange is reported", "[pairing]") {
  for (uint32_t seed = 0; seed < 1500; ++seed) {
    TrafficOptions options = OptionsOf(seed);
    options.open = options.from_start = true;
    // What a selector leaves out of chunked bodies costs nothing unless requests are pipelined.
    // (And where the end of a message is hidden, a body that imitates heads costs a doubt.)
    options.whole_calls = options.pipelined || seed % 4 == 0;
    options.deceptive = options.whole_calls;
    options.step_ns = 20'000'000;  // beyond the time within which the two directions may be swapped
    RandomTraffic traffic(seed, options);
    TestTable t;
    const Outcome outcome = RunTraffic(traffic, t);
    CAPTURE(seed, options.client, options.pipelined);
    REQUIRE(outcome.wrong == "");
    const ConnCounters& counters = t.counters();
    CAPTURE(counters.gaps_lost, counters.invalid, counters.exchanges_lost);
    REQUIRE(outcome.pairs == traffic.sent);
    REQUIRE(counters.exchanges == static_cast<uint64_t>(traffic.sent));
    REQUIRE(counters.exchanges_lost == 0);
    REQUIRE(counters.invalid == 0);
  }
}

TEST_CASE("pairing: what a capture leaves out of pipelined traffic is never made up for wrongly", "[pairing]") {
  for (uint32_t seed = 0; seed < 2000; ++seed) {
    TrafficOptions options = OptionsOf(seed);
    options.open = options.from_start = true;
    options.window = 2 + static_cast<int>(seed % 3);
    RandomTraffic traffic(seed, options);
    TestTable t;
    CAPTURE(seed, options.client, options.window);
    REQUIRE(RunTraffic(traffic, t).wrong == "");
  }
}

TEST_CASE("pairing: with loss no pair is ever wrong", "[pairing]") {
  int pairs = 0, sent = 0, lost_records = 0;
  for (uint32_t seed = 0; seed < 6000; ++seed) {
    RandomTraffic traffic(seed, OptionsOf(seed));
    std::mt19937 random(seed);
    const uint32_t per_mille = 5u << (seed % 7);  // 0.5 % to 32 %
    std::vector<BuiltEvent>& records = traffic.events.records();
    const size_t before = records.size();
    const auto drop = [&](const BuiltEvent&) { return random() % 1000 < per_mille; };
    records.erase(std::remove_if(records.begin(), records.end(), drop), records.end());
    lost_records += static_cast<int>(before - records.size());
    TestTable t;
    const Outcome outcome = RunTraffic(traffic, t);
    CAPTURE(seed, per_mille);
    REQUIRE(outcome.wrong == "");
    pairs += outcome.pairs;
    sent += traffic.sent;
  }
  // The promise would be cheap to keep by reporting nothing.
  CAPTURE(pairs, sent, lost_records);
  CHECK(pairs > sent / 3);
}

}  // namespace
}  // namespace spantap
