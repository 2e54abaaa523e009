// SPDX-License-Identifier: Apache-2.0
//
// The sender's parts one by one: an endpoint's backoff and throttle, a batch in pieces, the inbox.
#include <algorithm>
#include <set>

#include "exporter/otlp/otlp_encoder.h"
#include "exporter/send/inbox.h"
#include "exporter/send/pieces.h"
#include "exporter/send/route.h"
#include "tests/exporter/send/exporter_fixture.h"

namespace spantap {
namespace {

class RouteFixture {
 public:
  explicit RouteFixture(RetrySettings retry)
      : route(std::make_unique<FakeTransport>(wire), retry, random, [](absl::string_view) {}) {}

  // How long it is not to be used after this answer, in milliseconds.
  double WaitAfter(const FakeStep& step) {
    wire->Script({step});
    const uint64_t before_ns = MonoNs();
    route.Send("request", 1, absl::Seconds(1));
    const uint64_t now_ns = MonoNs();
    took_ms = static_cast<double>(now_ns - before_ns) * 1e-6;
    return route.usable_ns() <= before_ns ? 0 : static_cast<double>(route.usable_ns() - before_ns) * 1e-6;
  }

  std::shared_ptr<FakeWire> wire = std::make_shared<FakeWire>();
  SeededIds random{1};
  Route route;
  double took_ms = 0;
};

TEST_CASE("route: backoff grows by half, within +-50 % of its value, up to the cap", "[send]") {
  double least = 2, most = 0;
  for (int round = 0; round < 50; ++round) {
    RouteFixture f({.initial = absl::Seconds(10), .max = absl::Seconds(100)});
    f.random = SeededIds(static_cast<uint64_t>(round));
    double expected_ms = 10'000;
    for (int i = 0; i < 12; ++i) {
      const double wait_ms = f.WaitAfter(Step(Kind::kRetry));
      INFO("retry " << i << ": " << wait_ms);
      CHECK(wait_ms >= expected_ms * 0.5);
      CHECK(wait_ms <= std::min(expected_ms * 1.5, 100'000.0) + f.took_ms + 1);
      if (expected_ms < 60'000) {
        least = std::min(least, wait_ms / expected_ms);
        most = std::max(most, wait_ms / expected_ms);
      }
      expected_ms = std::min(expected_ms * 1.5, 100'000.0);
    }
    CHECK(f.route.failing());
    CHECK(f.WaitAfter(Step(Kind::kAcknowledged)) == 0);
    CHECK_FALSE(f.route.failing());
    CHECK(f.WaitAfter(Step(Kind::kRetry)) <= 15'001 + f.took_ms);  // from the beginning again
  }
  CHECK(least < 0.55);
  CHECK(most > 1.45);
}

TEST_CASE("route: the server's time is a minimum, clamped to the cap; the backoff grows from it", "[send]") {
  struct Row {
    int line;
    absl::Duration asked;
    double least_ms, most_ms;
  };
  const Row rows[] = {
      {__LINE__, absl::Seconds(5), 5000, 7500},
      {__LINE__, absl::ZeroDuration(), 5, 15},
      {__LINE__, absl::Seconds(-100), 5, 15},
      {__LINE__, absl::Hours(1'000'000), 30'000, 30'000},
      {__LINE__, absl::InfiniteDuration(), 30'000, 30'000},
      {__LINE__, -absl::InfiniteDuration(), 5, 15},
      {__LINE__, absl::Nanoseconds(1), 5, 15},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    RouteFixture f({.initial = absl::Milliseconds(10), .max = absl::Seconds(30)});
    const double wait_ms = f.WaitAfter(RetryAfter(row.asked));
    CHECK(wait_ms >= row.least_ms);
    CHECK(wait_ms <= row.most_ms + f.took_ms + 1);
  }
  RouteFixture grows({.initial = absl::Milliseconds(10), .max = absl::Seconds(30)});
  grows.WaitAfter(RetryAfter(absl::Seconds(10)));
  const double next_ms = grows.WaitAfter(Step(Kind::kRetry));
  CHECK(next_ms >= 7500);
  CHECK(next_ms <= 22'501 + grows.took_ms);
}

TEST_CASE("route: the end cuts the backoff, not what the server asked for", "[send]") {
  RouteFixture f({.initial = absl::Seconds(20), .max = absl::Seconds(30)});
  CHECK(f.WaitAfter(Step(Kind::kRetry)) > 9'999);
  f.route.CutBackoff();
  CHECK(f.route.usable_ns() <= MonoNs());
  CHECK(f.WaitAfter(RetryAfter(absl::Seconds(10))) >= 10'000);
  f.route.CutBackoff();
  CHECK(f.route.usable_ns() >= MonoNs() + 9'000'000'000);
}

Batch MakeBatch(size_t spans, size_t name_bytes) {
  OtlpEncoder encoder("1");
  std::vector<Span> made = MakeSpans(static_cast<int>(spans), name_bytes);
  return {std::string(encoder.Encode(made)), spans};
}

TEST_CASE("pieces: a batch is cut to a size, nothing is lost", "[send]") {
  Pieces pieces(MakeBatch(1000, 100));
  uint64_t total = 0;
  while (!pieces.empty()) {
    pieces.Fit(20'000);
    CHECK(pieces.current().request.size() <= 20'000);
    CHECK(pieces.current().spans == SpansIn(pieces.current().request));
    total += pieces.Pop().spans;
  }
  CHECK(total == 1000);
}

TEST_CASE("pieces: one span is never cut, and a request that is none neither", "[send]") {
  Pieces one(MakeBatch(1, 50'000));
  one.Fit(100);
  CHECK(one.current().spans == 1);
  const Pieces::Loss loss = one.Refuse();
  CHECK(loss.current == 1);
  CHECK(loss.others == 0);
  CHECK(one.empty());
  Pieces none({std::string(50'000, '\xff'), 7});
  none.Fit(100);
  CHECK(none.Refuse().current == 7);
  CHECK(none.empty());
}

TEST_CASE("pieces: who refuses every size gets few requests", "[send]") {
  const size_t spans = 8000;
  Pieces pieces(MakeBatch(spans, 400));
  REQUIRE(pieces.current().request.size() > 3'000'000);
  uint64_t lost = 0;
  int requests = 0;
  while (!pieces.empty()) {
    pieces.Fit(pieces.refused_bytes() - 1);
    if (pieces.current().request.size() < pieces.refused_bytes()) ++requests;
    const Pieces::Loss loss = pieces.Refuse();
    lost += loss.current + loss.others;
  }
  CHECK(lost == spans);
  CHECK(requests <= 10);
}

TEST_CASE("pieces: many large spans that are all refused are not all asked for", "[send]") {
  Pieces pieces(MakeBatch(60, 40'000));
  uint64_t lost = 0;
  int requests = 0;
  while (!pieces.empty()) {
    pieces.Fit(pieces.refused_bytes() - 1);
    if (pieces.current().request.size() < pieces.refused_bytes()) ++requests;
    lost += pieces.Refuse().current;
  }
  CHECK(lost == 60);
  CHECK(requests <= 10);
}

TEST_CASE("inbox: bounded in batches and bytes, in order, and buffers come back", "[send]") {
  Wakeup taker;
  Inbox inbox(1000, taker);
  for (size_t i = 0; i < Inbox::kMaxBatches; ++i) {
    REQUIRE(inbox.Put(std::string(i + 1, 'x'), i) == Inbox::PutResult::kTaken);
  }
  CHECK(inbox.Put("y", 1) == Inbox::PutResult::kFull);
  for (size_t i = 0; i < Inbox::kMaxBatches; ++i) {
    const std::optional<Batch> batch = inbox.Take();
    REQUIRE(batch.has_value());
    CHECK(batch->spans == i);
    CHECK(batch->request.size() == i + 1);
  }
  CHECK_FALSE(inbox.Take().has_value());
  CHECK(inbox.Put(std::string(5000, 'x'), 1) == Inbox::PutResult::kTaken);  // alone, whatever its size
  CHECK(inbox.Put("y", 1) == Inbox::PutResult::kFull);
  inbox.Take();
  REQUIRE(inbox.Put(std::string(600, 'x'), 1) == Inbox::PutResult::kTaken);
  CHECK(inbox.Put(std::string(600, 'x'), 1) == Inbox::PutResult::kFull);
  std::string buffer = inbox.Take()->request;
  const char* at = buffer.data();
  inbox.Recycle(std::move(buffer));
  inbox.Recycle(std::string(2000, 'x'));  // over the bound: freed
  REQUIRE(inbox.Put(std::string(500, 'z'), 1) == Inbox::PutResult::kTaken);
  CHECK(inbox.Take()->request.data() == at);
}

TEST_CASE("inbox: closed it gives out the rest, ended it takes nothing", "[send]") {
  Wakeup taker;
  Inbox inbox(1000, taker);
  REQUIRE(inbox.Put("a", 1) == Inbox::PutResult::kTaken);
  inbox.Close();
  CHECK_FALSE(inbox.EndIfDone());
  CHECK(inbox.Take().has_value());
  CHECK(inbox.EndIfDone());
  CHECK(inbox.Put("a", 1) == Inbox::PutResult::kEnded);
}

}  // namespace
}  // namespace spantap
