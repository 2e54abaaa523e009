// SPDX-License-Identifier: Apache-2.0
#include "agent/run/pipeline.h"

#include <catch2/catch.hpp>
#include <vector>

#include "agent/run/event_status.h"
#include "agent/serve/ledger_line.h"
#include "tests/fakes/event_builder.h"

namespace spantap {
namespace {

constexpr char kRequest[] = "GET /a/1 HTTP/1.1\r\nhost: h\r\n\r\n";
constexpr char kResponse[] = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";

struct Rig {
  Ledger ledger;
  SpanQueue queue{SpanQueue::Limits{}, ledger};
  SeededIds ids{7};
  PipelineSettings settings;

  std::vector<Span> Run(EventBuilder& events, bool with_queue = true) {
    Pipeline pipeline(settings, ids, ledger, with_queue ? &queue : nullptr, [](uint64_t, const spantap_order&) {});
    for (const BuiltEvent& record : events.records()) {
      pipeline.OnTime(record.View().header->mono_ns);
      pipeline.OnEvent(record.View());
    }
    pipeline.Finish();
    RunStatus status;
    status.spans = ledger.Snapshot();
    status.events = CollectEvents(nullptr, &pipeline, nullptr);
    line = LedgerLine(status);
    processed = pipeline.events_processed();
    std::vector<Span> batch;
    if (with_queue && queue.size() > 0) CHECK(queue.Pop(batch, 1, 1000, SIZE_MAX, absl::ZeroDuration()));
    return batch;
  }

  std::string line;
  uint64_t processed = 0;
};

EventBuilder OneExchange() {
  EventBuilder events;
  events.As(42);
  events.Open(7);
  events.Read(7, kRequest);
  events.Write(7, kResponse);
  events.Closed(7);
  return events;
}

TEST_CASE("pipeline: events in, a span in the queue", "[run]") {
  Rig rig;
  EventBuilder events = OneExchange();
  const std::vector<Span> spans = rig.Run(events);
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].kind == SpanKind::kServer);
  CHECK(spans[0].status == StatusCode::kError);
  CHECK(spans[0].trace_id.valid());
  CHECK(spans[0].end_unix_ns > spans[0].start_unix_ns);
  CHECK(rig.processed == 4);
  CHECK(rig.ledger.Snapshot().created == 1);
  CHECK(rig.ledger.Snapshot().in_flight() == 1);
}

TEST_CASE("pipeline: without an exporter spans are counted as not exported", "[run]") {
  Rig rig;
  EventBuilder events = OneExchange();
  rig.Run(events, false);
  CHECK(rig.line.find("ledger created=1 acknowledged=0 in_flight=0 spooled=0 dropped=1 dropped.not_exported=1") == 0);
  CHECK(rig.line.find(" events_processed=4") != std::string::npos);
}

TEST_CASE("pipeline: what sampling leaves out is not created, but counted", "[run]") {
  Rig rig;
  rig.settings.links.sample_ratio = 0;
  EventBuilder events = OneExchange();
  CHECK(rig.Run(events).empty());
  CHECK(rig.ledger.Snapshot().created == 0);
  CHECK(rig.line.find(" unsampled=1") != std::string::npos);
}

TEST_CASE("pipeline: the same events give the same spans", "[run]") {
  EventBuilder events = OneExchange();
  Rig first, second;
  const std::vector<Span> a = first.Run(events), b = second.Run(events);
  REQUIRE(a.size() == b.size());
  CHECK(a[0].trace_id == b[0].trace_id);
  CHECK(a[0].span_id == b[0].span_id);
  CHECK(a[0].attributes.bytes() == b[0].attributes.bytes());
}

}  // namespace
}  // namespace spantap
