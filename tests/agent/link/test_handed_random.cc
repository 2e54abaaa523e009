// SPDX-License-Identifier: Apache-2.0
//
// Handed-off spans in random interleavings with the events of their exchanges: none twice, none lost, none with
// another's exchange.
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>

#include "tests/agent/link/handing.h"

namespace spantap::link_test {
namespace {

// Proxies of one process, with a connection pair each, that work on random requests; spans come when they come.
class Storm {
 public:
  Storm(uint64_t seed, bool honest) : random_(seed), honest_(honest), world_(Settings(seed)) {
    for (int i = 0; i < 6; ++i) proxies_.push_back(std::make_unique<HandingProxy>(world_));
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) Step();
    for (auto& [lane, one] : open_) proxies_[lane]->End(one);
    for (auto& [lane, one] : open_) Plan(*proxies_[lane], one);
    open_.clear();
    while (!waiting_.empty()) HandOne();
    if (Chance(50)) {
      for (int i = 0; i < 60; ++i) world_.Pass(100);
    }
    world_.End();
  }

  // By the spans' names, which no one changes.
  void Check() {
    std::multiset<std::string> delivered;
    std::set<SpanId> ids;
    size_t joined = 0, repeated_ids = 0;
    for (const auto& tree : world_.trees()) {
      for (const LinkedExchange& linked : tree) {
        CHECK(exchanges_.insert(linked.exchange->id).second);
        if (!ids.insert(linked.span_id).second) ++repeated_ids;
        if (linked.handed == nullptr) continue;
        ++joined;
        delivered.insert(linked.handed->span.name);
        if (honest_) CHECK(truth_.at(linked.handed->span.name) == linked.exchange->id);
      }
    }
    for (const auto& lone : world_.lone()) {
      delivered.insert(lone.handed->span.name);
      if (!ids.insert(lone.handed->span.span_id).second) ++repeated_ids;
    }
    const HandedCounters& counters = world_.counters().handed;
    CHECK(delivered.size() + counters.late == handed_.size());
    for (const std::string& name : delivered) CHECK(handed_.count(name) >= delivered.count(name));
    CHECK(repeated_ids <= repeats_);  // those that the producer itself gave twice
    CHECK(counters.matched >= joined);
    if (honest_) CHECK(counters.matched + counters.late + counters.unmatched_spans == handed_.size());
  }
  double matched_share() const {
    return static_cast<double>(world_.counters().handed.matched) / static_cast<double>(handed_.size());
  }

 private:
  static LinkSettings Settings(uint64_t seed) {
    LinkSettings settings;
    if (seed % 5 == 0) settings.max_exchanges = 24;
    settings.adopt = seed % 7 != 0;
    return settings;
  }
  uint64_t Pick(uint64_t below) { return random_() % below; }
  bool Chance(uint64_t percent) { return Pick(100) < percent; }

  void Step() {
    const size_t lane = Pick(proxies_.size());
    const auto at = open_.find(lane);
    if (at == open_.end()) {
      ++number_;
      const char trace = static_cast<char>('a' + Pick(6));
      const std::string incoming = Chance(30) ? Header(trace, 1'000'000 + number_) : "";
      open_[lane] = proxies_[lane]->Begin(number_, trace, incoming, Chance(50) ? "/x" : "/y");
    } else {
      proxies_[lane]->End(at->second);
      Plan(*proxies_[lane], at->second);
      open_.erase(at);
    }
    while (Chance(60) && !waiting_.empty()) HandOne();
    if (Chance(20)) world_.Pass(Pick(honest_ ? 30 : 700));
  }

  void Plan(HandingProxy& proxy, const HandingProxy::One& one) {
    for (Handing handing : {proxy.ClientSpan(one), proxy.ServerSpan(one)}) {
      const bool client = handing.kind == SpanKind::kClient;
      truth_["handed " + std::to_string(handing.id)] = client ? one.client_id : one.server_id;
      if (Chance(10)) continue;  // never handed off
      if (!honest_) Spoil(handing);
      waiting_.push_back(handing);
      if (honest_ || !Chance(5)) continue;
      ++repeats_;
      waiting_.push_back(handing);
    }
  }

  void Spoil(Handing& handing) {
    switch (Pick(8)) {
      case 0:
        handing.parent = Pick(2 * number_ + 4);
        break;
      case 1:
        handing.side = Chance(50) ? nullptr : &proxies_[Pick(proxies_.size())]->down().server;
        break;
      case 2:
        handing.start_ns = Pick(UINT64_MAX / 4);
        break;
      case 3:
        handing.kind = SpanKind::kInternal;
        break;
      case 4:
        handing.tgid = 66;
        ++repeats_;  // an id that process 7 has sent
        break;
      default:
        break;
    }
  }

  void HandOne() {
    const size_t at = Chance(70) ? 0 : Pick(waiting_.size());
    handed_.insert("handed " + std::to_string(waiting_[at].id));
    proxies_[0]->Hand(waiting_[at]);
    waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(at));
  }

  std::mt19937_64 random_;
  const bool honest_;
  World world_;
  std::vector<std::unique_ptr<HandingProxy>> proxies_;
  std::map<size_t, HandingProxy::One> open_;
  std::vector<Handing> waiting_;
  std::map<std::string, uint64_t> truth_;
  std::multiset<std::string> handed_;
  std::set<uint64_t> exchanges_;
  size_t repeats_ = 0;
  uint64_t number_ = 0;
};

}  // namespace

TEST_CASE("handed: honest spans in any order go with their own exchange", "[link]") {
  double least = 1;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    INFO("seed " << seed);
    Storm storm(seed, true);
    storm.Run(200);
    storm.Check();
    if (seed % 5 != 0) least = std::min(least, storm.matched_share());
  }
  CHECK(least > 0.95);
}

TEST_CASE("handed: whatever a producer says, no span is lost or told twice", "[link]") {
  for (uint64_t seed = 1; seed <= 250; ++seed) {
    INFO("seed " << seed);
    Storm storm(seed, false);
    storm.Run(150);
    storm.Check();
  }
}

}  // namespace spantap::link_test
