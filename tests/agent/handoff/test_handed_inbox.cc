// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <thread>

#include "agent/handoff/handed_inbox.h"

namespace spantap {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

size_t Offer(HandedInbox& inbox, uint32_t tgid, size_t count, uint64_t mono_ns = kSecondNs, size_t name_bytes = 5) {
  std::vector<Span> spans(count);
  for (Span& span : spans) span.name.assign(name_bytes, 'x');
  return inbox.Offer(tgid, spans, std::vector<SpanConnection>(count), mono_ns, 7);
}

}  // namespace

TEST_CASE("inbox: spans and producers come out once, in order", "[handoff]") {
  HandedInbox inbox;
  CHECK(inbox.TakeSpans().empty());
  CHECK_FALSE(inbox.ProducersChanged());
  inbox.AddProducer(5, 1);
  inbox.AddProducer(5, 1);
  REQUIRE(inbox.ProducersChanged());
  CHECK(inbox.TakeProducers() == std::vector<uint32_t>{5});
  inbox.AddProducer(5, -1);
  CHECK_FALSE(inbox.ProducersChanged());  // it has another one
  std::vector<Span> spans(2);
  spans[0].name = "first";
  spans[1].name = "second";
  std::vector<SpanConnection> connections(2);
  connections[1].peer_port = 80;
  CHECK(inbox.Offer(5, spans, connections, kSecondNs, 7) == 2);
  const auto taken = inbox.TakeSpans();
  REQUIRE(taken.size() == 2);
  CHECK(taken[0]->span.name == "first");
  CHECK(taken[1]->connection.peer_port == 80);
  CHECK((taken[1]->tgid == 5 && taken[1]->wall_minus_mono_ns == 7));
  CHECK(inbox.TakeSpans().empty());
  inbox.AddProducer(5, -1);
  CHECK(inbox.ProducersChanged());
  CHECK(inbox.TakeProducers().empty());
}

TEST_CASE("inbox: one process cannot fill it for the others", "[handoff]") {
  HandedInbox inbox;
  const size_t share = HandedInbox::kMaxSpans / 4;
  CHECK(Offer(inbox, 1, share + 100) == share);
  CHECK(Offer(inbox, 1, 1) == 0);
  CHECK(Offer(inbox, 2, 100) == 100);
  CHECK(inbox.TakeSpans().size() == share + 100);
  CHECK(Offer(inbox, 1, 1) == 1);  // there is room again
}

TEST_CASE("inbox: bytes are bounded, too", "[handoff]") {
  HandedInbox inbox;
  const size_t taken = Offer(inbox, 1, 1000, kSecondNs, 60'000);
  CHECK(taken < HandedInbox::kMaxBytes / 4 / 60'000 + 1);
  CHECK(taken > 200);
  CHECK(Offer(inbox, 2, 10, kSecondNs, 60'000) == 10);
}

TEST_CASE("inbox: more than so many a second go past it", "[handoff]") {
  HandedInbox inbox;
  inbox.AddProducer(1, 1);
  size_t taken = 0;
  for (int i = 0; i < 20; ++i) {
    taken += Offer(inbox, 1, 10'000);
    inbox.TakeSpans();
  }
  CHECK(taken == HandedInbox::kSpansPerSecond);
  CHECK(Offer(inbox, 1, 10, 2 * kSecondNs) == 10);
}

TEST_CASE("inbox: a process counts as observed a while after its end", "[handoff]") {
  HandedInbox inbox;
  CHECK_FALSE(inbox.Observed(9));
  inbox.Observe(9);
  CHECK(inbox.Observed(9));
  inbox.ObserveEnd(9, kSecondNs);
  CHECK(inbox.Observed(9));
  inbox.ObserveEnd(10, kSecondNs + HandedInbox::kDoubtNs + 1);
  CHECK_FALSE(inbox.Observed(9));
}

TEST_CASE("inbox: nothing is lost between two threads", "[handoff]") {
  HandedInbox inbox;
  std::atomic<bool> done{false};
  uint64_t offered = 0, taken = 0;
  std::thread producer([&] {
    for (uint64_t i = 0; i < 2000; ++i) offered += Offer(inbox, 1 + i % 3, 7, kSecondNs * (1 + i / 100));
    done = true;
  });
  while (!done) taken += inbox.TakeSpans().size();
  producer.join();
  taken += inbox.TakeSpans().size();
  CHECK(taken == offered);
}

}  // namespace spantap
