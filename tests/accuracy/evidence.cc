// SPDX-License-Identifier: Apache-2.0
//
// What the cause finder knew when it decided how sure a link is: `evidence FILE [FROM_NS [HIDDEN]]` replays a recording
// and prints a line a decision, client's and candidate's connection and time of the request, then the signs in the
// order of agent/cause/evidence.h; their names and directions in the first line. With FROM_NS requests before are left
// out: a process that was never seen when it was calm. HIDDEN: so many of a hundred incoming requests are left out:
// their calls are nobody's, as those of a background job or of a request whose head was lost. fit.py reads it.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "agent/cause/evidence.h"
#include "exporter/model/trace_context.h"
#include "tests/accuracy/replay_file.h"

namespace spantap {
namespace {

struct Place {
  uint64_t connection, mono_ns;
};

class Replay final : public EventSink, private ExchangeSink {
 public:
  Replay(uint64_t from_ns, uint64_t hidden) : from_ns_(from_ns), hidden_(hidden), linker_(Settings(), ids_, discard_) {}

  void OnEvent(const EventView& event) override {
    connections_.OnEvent(event);
    const bool over = event.header->type == SPANTAP_EVENT_EXIT || event.header->type == SPANTAP_EVENT_EXEC;
    if (over) linker_.OnProcessEnd(event.header->tgid);
  }
  void OnTime(uint64_t mono_ns) override {
    constexpr uint64_t kStepNs = 5'000'000;  // as in agent/run/pipeline.cc
    if (mono_ns < now_ns_ + kStepNs) return;
    now_ns_ = mono_ns;
    connections_.OnTime(mono_ns);
    linker_.OnTime(mono_ns);
  }
  void Finish() {
    connections_.FinishAll(now_ns_);
    linker_.Flush();
  }

 private:
  LinkSettings Settings() {
    LinkSettings settings;
    settings.cause.on_evidence = [this](uint64_t outgoing, uint64_t incoming, const Evidence& evidence) {
      Print(outgoing, incoming, evidence);
    };
    return settings;
  }
  bool Untold(const Exchange& exchange) const {
    if (exchange.request_stamp.mono_ns < from_ns_) return true;
    return exchange.role == Role::kServer && exchange.id * 0x9e3779b97f4a7c15ull % 100 < hidden_;
  }
  void OnRequest(Exchange& exchange) override {
    places_[exchange.id] = {exchange.endpoint.conn_id, exchange.request_stamp.mono_ns};
    if (!Untold(exchange)) linker_.OnRequest(exchange);
  }
  void OnResponse(Exchange& exchange) override {
    if (!Untold(exchange)) linker_.OnResponse(exchange);
  }
  void OnFinished(std::unique_ptr<Exchange> exchange) override {
    if (!Untold(*exchange)) linker_.OnFinished(std::move(exchange));
  }
  void Print(uint64_t outgoing, uint64_t incoming, const Evidence& evidence) const {
    for (const uint64_t id : {outgoing, incoming}) {
      const Place& place = places_.at(id);
      printf("%llu %llu ", static_cast<unsigned long long>(place.connection),
             static_cast<unsigned long long>(place.mono_ns));
    }
    for (size_t i = 0; i < kSigns; ++i) printf("%.6g%c", evidence.at(i), i + 1 < kSigns ? ' ' : '\n');
  }

  const uint64_t from_ns_;
  const uint64_t hidden_;
  absl::flat_hash_map<uint64_t, Place> places_;  // by exchange
  SeededIds ids_{1};
  Discard discard_;
  Linker linker_;
  ConnTable connections_{{}, *this, [](uint64_t, const spantap_order&) {}};
  uint64_t now_ns_ = 0;
};

int Main(const char* path, uint64_t from_ns, uint64_t hidden) {
  for (size_t i = 0; i < kSigns; ++i) {
    const auto sign = static_cast<Sign>(i);
    printf("%s:%d ", std::string(NameOf(sign)).c_str(), DirectionOf(sign));
  }
  printf("\n");
  Replay replay(from_ns, hidden);
  if (const int failed = ReplayFile(path, replay)) return failed;
  replay.Finish();
  return 0;
}

}  // namespace
}  // namespace spantap

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: evidence FILE [FROM_NS [HIDDEN]]\n");
    return 2;
  }
  const auto number = [&](int at) { return argc > at ? strtoull(argv[at], nullptr, 10) : 0; };
  return spantap::Main(argv[1], number(2), number(3));
}
