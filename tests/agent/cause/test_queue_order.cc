// SPDX-License-Identifier: Apache-2.0
//
// Whose call is whose, by the order of a queue.
#include <catch2/catch.hpp>
#include <cmath>

#include "agent/cause/queue_order.h"

namespace spantap {
namespace {

constexpr uint8_t kCall = 3, kOtherCall = 4;
constexpr uint64_t kMs = 1'000'000;

struct Queue {
  std::vector<QueueOrder::Waiting> waiting;
  std::vector<QueueOrder::Unsure> unsure;
  std::vector<QueueOrder::Sent> sent;
  double nobody = 0.01;

  void Wait(uint32_t who, uint64_t ms, uint8_t label = kCall) {
    waiting.push_back({who, label, ms * kMs, 0.01f, 0, 0});
  }
  void Later(uint32_t who, uint64_t from_ms, uint64_t until_ms) {
    unsure.push_back({who, kCall, {{from_ms * kMs, 0.0f}, {until_ms * kMs, 1.0f}}});
  }
  void Send(uint64_t ms, uint8_t label = kCall) { sent.push_back({label, ms * kMs, false}); }

  std::vector<QueueOrder::Shares> Solve(absl::FunctionRef<double(uint32_t, uint32_t)> fits) const {
    auto shares = QueueOrder(waiting, unsure, sent, nobody, fits).Solve();
    REQUIRE(shares.size() == sent.size());
    for (const auto& some : shares) {
      float sum = 0, last = 1;
      for (const auto& share : some) {
        CHECK(share.probability <= last + 1e-5f);
        last = share.probability;
        sum += share.probability;
      }
      CHECK(sum < 1.001f);
    }
    return shares;
  }
  std::vector<QueueOrder::Shares> Solve() const {
    return Solve([](uint32_t, uint32_t) { return 1.0; });
  }
};

float Of(const QueueOrder::Shares& shares, uint32_t who) {
  for (const auto& share : shares) {
    if (share.who == who) return share.probability;
  }
  return 0;
}

TEST_CASE("queue order: first come, first served", "[cause]") {
  Queue queue;
  for (uint32_t i = 0; i < 20; ++i) queue.Wait(i, 1 + i);
  for (uint32_t i = 0; i < 12; ++i) queue.Send(30 + i);
  const auto shares = queue.Solve();
  for (uint32_t i = 0; i < 12; ++i) {
    CAPTURE(i);
    REQUIRE(!shares[i].empty());
    CHECK(shares[i][0].who == i);
    CHECK(shares[i][0].probability > 0.6);
  }
}

TEST_CASE("queue order: nothing is sent before it was made, and nothing that was not", "[cause]") {
  Queue queue;
  queue.Wait(0, 1);
  queue.Wait(1, 50);
  queue.Wait(2, 51, kOtherCall);
  queue.Send(10);
  queue.Send(20);
  queue.Send(60, kOtherCall);
  const auto shares = queue.Solve();
  CHECK(Of(shares[0], 0) > 0.4);
  CHECK(Of(shares[0], 1) == 0);
  CHECK(Of(shares[1], 1) == 0);
  CHECK(Of(shares[0], 0) + Of(shares[1], 0) == Approx(1).margin(0.1));
  CHECK(Of(shares[2], 2) > 0.7);
  CHECK(Of(shares[2], 1) == 0);
}

TEST_CASE("queue order: one that was not made is passed over, the others keep their places", "[cause]") {
  Queue queue;
  for (uint32_t i = 0; i < 16; ++i) queue.Wait(i, 1 + i);
  for (uint32_t i = 0; i < 12; ++i) queue.Send(30 + i);
  // What is known of some of the calls says that the fourth handler has made none.
  const auto fits = [](uint32_t who, uint32_t sent) {
    const uint32_t owner = sent < 4 ? sent : sent + 1;
    if (who == 4) return 0.0;
    return sent % 3 != 0 ? 1.0 : who == owner ? 50.0 : 0.05;
  };
  const auto shares = queue.Solve(fits);
  for (uint32_t i = 0; i < 11; ++i) {
    CAPTURE(i);
    CHECK(Of(shares[i], i < 4 ? i : i + 1) > 0.85);
  }
}

TEST_CASE("queue order: two that changed places", "[cause]") {
  Queue queue;
  for (uint32_t i = 0; i < 10; ++i) queue.Wait(i, 1 + i);
  for (uint32_t i = 0; i < 10; ++i) queue.Send(30 + i);
  const auto owner = [](uint32_t sent) { return sent == 4 ? 5u : sent == 5 ? 4u : sent; };
  const auto shares = queue.Solve([&](uint32_t who, uint32_t sent) { return who == owner(sent) ? 20.0 : 0.05; });
  for (uint32_t i = 0; i < 10; ++i) CHECK(Of(shares[i], owner(i)) > 0.95);
}

TEST_CASE("queue order: one that came after a timer is found by when it can have been made", "[cause]") {
  Queue queue;
  for (uint32_t i = 0; i < 10; ++i) queue.Wait(i, 10 * i);
  queue.Later(100, 42, 48);  // between the fifth and the sixth
  for (uint32_t i = 0; i < 11; ++i) queue.Send(200 + i);
  const auto anchored = [](uint32_t who, uint32_t sent) {
    if (sent == 4) return who == 4 ? 10.0 : 0.1;
    if (sent == 6) return who == 5 ? 10.0 : 0.1;
    return 1.0;
  };
  const auto shares = queue.Solve(anchored);
  CHECK(Of(shares[5], 100) > 0.9);
  CHECK(Of(shares[4], 4) > 0.9);
  CHECK(Of(shares[6], 5) > 0.85);
  CHECK(Of(shares[9], 100) < 0.1);
}

TEST_CASE("queue order: what did not wait was made just then", "[cause]") {
  Queue queue;
  queue.Wait(0, 10);
  queue.Wait(1, 70);
  queue.Send(71);
  CHECK(Of(queue.Solve()[0], 0) > 0.8);
  queue.sent[0].at_once = true;
  CHECK(Of(queue.Solve()[0], 1) > 0.8);
}

TEST_CASE("queue order: nobody's calls", "[cause]") {
  Queue queue;
  CHECK(queue.Solve().empty());
  queue.Send(5);
  queue.Send(6, kOtherCall);
  for (const auto& some : queue.Solve()) CHECK(some.empty());
  queue.Wait(7, 1);
  const auto shares = queue.Solve([](uint32_t, uint32_t) { return 0.0; });
  for (const auto& some : shares) CHECK(some.empty());
}

TEST_CASE("queue order: bounded, and finite whatever is said", "[cause]") {
  Queue queue;
  for (uint32_t i = 0; i < 4000; ++i) queue.Wait(i % 50, 1 + i / 9);
  for (uint32_t i = 0; i < 300; ++i) queue.Later(i, i, 2000 + i);
  for (uint32_t i = 0; i < 4000; ++i) queue.Send(100 + i / 5);
  const auto shares = queue.Solve([](uint32_t who, uint32_t sent) {
    return (who * 31 + sent) % 7 == 0 ? 1e9 : (who + sent) % 3 == 0 ? 0.0 : 1e-9;
  });
  for (size_t i = 0; i < shares.size(); ++i) {
    if (i >= QueueOrder::kMostSent) CHECK(shares[i].empty());
    for (const auto& share : shares[i]) CHECK(std::isfinite(share.probability));
  }
}

}  // namespace
}  // namespace spantap
