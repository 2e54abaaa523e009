// SPDX-License-Identifier: Apache-2.0
//
// The ledger's line and the queue's bounds: every span that goes in comes out or is counted.
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "base/clock.h"
#include "exporter/send/span_queue.h"

namespace spantap {
namespace {

Span Named(const std::string& name) {
  Span span;
  span.name = name;
  return span;
}

uint64_t Dropped(const Ledger& ledger, DropReason reason) {
  return ledger.Snapshot().dropped[static_cast<size_t>(reason)];
}

TEST_CASE("ledger: the line, in the form that machines read", "[send]") {
  Ledger ledger;
  CHECK(ledger.Snapshot().Format() == "created=0 acknowledged=0 in_flight=0 spooled=0 dropped=0");
  ledger.Created(10);
  ledger.Acknowledged(3);
  ledger.Dropped(DropReason::kQueueFull, 2);
  ledger.Dropped(DropReason::kNoExporter, 1);
  CHECK(ledger.Snapshot().in_flight() == 4);
  CHECK(ledger.Snapshot().Format() ==
        "created=10 acknowledged=3 in_flight=4 spooled=0 dropped=3 dropped.queue_full=2 dropped.not_exported=1");
}

TEST_CASE("ledger: reason names are permanent and differ", "[send]") {
  std::set<std::string> names;
  for (uint8_t i = 0; i < static_cast<uint8_t>(DropReason::kCount); ++i) {
    names.insert(std::string(DropReasonName(static_cast<DropReason>(i))));
  }
  CHECK(names == std::set<std::string>{"queue_full", "too_large", "rejected", "http_status", "bad_response",
                                       "retries_exhausted", "shutdown", "encode", "not_exported", "grpc_status",
                                       "spool_full", "spool_expired", "spool_damaged"});
}

TEST_CASE("queue: spans come out in order, in batches of the asked size", "[send]") {
  Ledger ledger;
  SpanQueue queue({}, ledger);
  std::vector<Span> many;
  for (int i = 0; i < 10; ++i) many.push_back(Named(std::to_string(i)));
  queue.PushAll(std::move(many));
  queue.Push(Named("10"));
  std::vector<Span> batch;
  int next = 0;
  for (const size_t expected : {4u, 4u, 3u}) {
    REQUIRE(queue.Pop(batch, 1, 4, SIZE_MAX, absl::ZeroDuration()));
    REQUIRE(batch.size() == expected);
    for (const Span& span : batch) CHECK(span.name == std::to_string(next++));
  }
  CHECK(queue.size() == 0);
  REQUIRE(queue.Pop(batch, 1, 4, SIZE_MAX, absl::ZeroDuration()));  // empty but open
  CHECK(batch.empty());
  CHECK(ledger.Snapshot().created == 11);
}

TEST_CASE("queue: a batch is bounded in bytes, but never empty for that", "[send]") {
  Ledger ledger;
  SpanQueue queue({}, ledger);
  const size_t one = Named("abc").ApproximateBytes();
  for (int i = 0; i < 5; ++i) queue.Push(Named("abc"));
  std::vector<Span> batch;
  REQUIRE(queue.Pop(batch, 1, 100, 2 * one, absl::ZeroDuration()));
  CHECK(batch.size() == 2);
  REQUIRE(queue.Pop(batch, 1, 100, 1, absl::ZeroDuration()));
  CHECK(batch.size() == 1);
  CHECK(queue.size() == 2);
}

TEST_CASE("queue: full in spans or in bytes, the newest is dropped and counted; room returns", "[send]") {
  Ledger ledger;
  SpanQueue queue({.max_spans = 3, .max_bytes = 1 << 20}, ledger);
  for (int i = 0; i < 5; ++i) queue.Push(Named(std::to_string(i)));
  CHECK(Dropped(ledger, DropReason::kQueueFull) == 2);
  std::vector<Span> batch;
  REQUIRE(queue.Pop(batch, 1, 2, SIZE_MAX, absl::ZeroDuration()));
  CHECK(batch[0].name == "0");
  for (int i = 0; i < 5; ++i) queue.Push(Named("later"));
  CHECK(Dropped(ledger, DropReason::kQueueFull) == 5);
  CHECK(queue.size() == 3);

  const size_t one = Named("abc").ApproximateBytes();
  SpanQueue narrow({.max_spans = 100, .max_bytes = 3 * one}, ledger);
  for (int i = 0; i < 4; ++i) narrow.Push(Named("abc"));
  CHECK(narrow.size() == 3);
  REQUIRE(narrow.Pop(batch, 1, 3, SIZE_MAX, absl::ZeroDuration()));
  narrow.Push(Named(std::string(3 * one, 'x')));  // larger than the whole queue
  CHECK(narrow.size() == 0);
  narrow.Push(Named("abc"));
  CHECK(narrow.size() == 1);
}

TEST_CASE("queue: closed, it takes nothing and gives out the rest", "[send]") {
  Ledger ledger;
  SpanQueue queue({}, ledger);
  queue.Push(Named("a"));
  queue.Close();
  queue.Push(Named("b"));
  CHECK(Dropped(ledger, DropReason::kShutdown) == 1);
  std::vector<Span> batch;
  CHECK(queue.Pop(batch, 100, 100, SIZE_MAX, absl::Hours(1)));
  CHECK(batch.size() == 1);
  CHECK_FALSE(queue.Pop(batch, 100, 100, SIZE_MAX, absl::Hours(1)));
}

TEST_CASE("queue: Pop waits for its minimum, its time or the end", "[send]") {
  Ledger ledger;
  SpanQueue queue({}, ledger);
  std::vector<Span> batch;
  const uint64_t start_ns = MonoNs();
  queue.Push(Named("lone"));
  REQUIRE(queue.Pop(batch, 2, 10, SIZE_MAX, absl::Milliseconds(30)));
  CHECK(batch.size() == 1);
  CHECK(MonoNs() - start_ns >= 30'000'000);
  for (int round = 0; round < 50; ++round) {  // woken by the second span, not by the first, and not by time
    std::thread producer([&] {
      queue.Push(Named("a"));
      std::this_thread::yield();
      queue.Push(Named("b"));
    });
    REQUIRE(queue.Pop(batch, 2, 10, SIZE_MAX, absl::Seconds(20)));
    producer.join();
    CHECK(batch.size() == 2);
  }
  std::thread closer([&] { queue.Close(); });
  CHECK_FALSE(queue.Pop(batch, 2, 10, SIZE_MAX, absl::Hours(1)));
  closer.join();
  CHECK(MonoNs() - start_ns < 20'000'000'000);
}

TEST_CASE("queue: producers and the consumer at once lose nothing uncounted", "[send]") {
  Ledger ledger;
  SpanQueue queue({.max_spans = 64, .max_bytes = 1 << 20}, ledger);
  constexpr uint64_t kProducers = 3, kEach = 20000;
  std::vector<std::thread> producers;
  for (uint64_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&] {
      for (uint64_t i = 0; i < kEach; ++i) queue.Push(Named("x"));
    });
  }
  std::thread closer([&] {
    for (std::thread& producer : producers) producer.join();
    queue.Close();
  });
  uint64_t taken = 0;
  std::vector<Span> batch;
  while (queue.Pop(batch, 16, 32, SIZE_MAX, absl::Milliseconds(1))) taken += batch.size();
  closer.join();
  CHECK(ledger.Snapshot().created == kProducers * kEach);
  CHECK(taken + Dropped(ledger, DropReason::kQueueFull) == kProducers * kEach);
  CHECK(taken == ledger.Snapshot().in_flight());
}

}  // namespace
}  // namespace spantap
