// SPDX-License-Identifier: Apache-2.0
//
// What linking costs: `link_cost FILE [MONO_NS...]` replays a recording several times, with the linker and with a sink
// that throws exchanges away, and prints for each stretch between the given times how many client exchanges it had and
// the CPU time of the process (all its threads) that the linker added, the least of the rounds on either side.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <vector>

#include "exporter/model/trace_context.h"
#include "tests/accuracy/replay_file.h"

namespace spantap {
namespace {

constexpr int kRounds = 3;

uint64_t CpuNs() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000ull + now.tv_nsec;
}

struct Stretch {
  uint64_t clients = 0;
  uint64_t cpu_ns = UINT64_MAX;
};

// One round: events into connections, and on into the linker if there is one.
class Round final : public EventSink, private ExchangeSink {
 public:
  Round(const std::vector<uint64_t>& ends, bool with_linker, std::vector<Stretch>& stretches)
      : ends_(ends), stretches_(stretches), linker_(with_linker ? new Linker({}, ids_, discard_) : nullptr) {
    begun_ = CpuNs();
  }

  void OnEvent(const EventView& event) override {
    while (at_ < ends_.size() && event.header->mono_ns >= ends_[at_]) EndStretch();
    connections_.OnEvent(event);
    const bool over = event.header->type == SPANTAP_EVENT_EXIT || event.header->type == SPANTAP_EVENT_EXEC;
    if (over && linker_) linker_->OnProcessEnd(event.header->tgid);
  }
  void OnTime(uint64_t mono_ns) override {
    constexpr uint64_t kStepNs = 5'000'000;  // as in agent/run/pipeline.cc
    if (mono_ns < now_ns_ + kStepNs) return;
    now_ns_ = mono_ns;
    connections_.OnTime(mono_ns);
    if (linker_) linker_->OnTime(mono_ns);
  }
  void Finish() {
    connections_.FinishAll(now_ns_);
    if (linker_) linker_->Flush();
    EndStretch();
  }

 private:
  ExchangeSink& next() { return linker_ ? static_cast<ExchangeSink&>(*linker_) : discard_; }
  void OnRequest(Exchange& exchange) override {
    clients_ += exchange.role == Role::kClient;
    next().OnRequest(exchange);
  }
  void OnResponse(Exchange& exchange) override { next().OnResponse(exchange); }
  void OnFinished(std::unique_ptr<Exchange> exchange) override { next().OnFinished(std::move(exchange)); }

  void EndStretch() {
    const uint64_t now = CpuNs();
    stretches_[at_].clients = clients_;
    stretches_[at_].cpu_ns = std::min(stretches_[at_].cpu_ns, now - begun_);
    begun_ = now;
    clients_ = 0;
    ++at_;
  }

  const std::vector<uint64_t>& ends_;
  std::vector<Stretch>& stretches_;
  SeededIds ids_{1};
  Discard discard_;
  std::unique_ptr<Linker> linker_;
  ConnTable connections_{{}, *this, [](uint64_t, const spantap_order&) {}};
  size_t at_ = 0;
  uint64_t clients_ = 0;
  uint64_t begun_ = 0;
  uint64_t now_ns_ = 0;
};

int Main(const char* path, const std::vector<uint64_t>& ends) {
  std::vector<Stretch> with(ends.size() + 1), without(ends.size() + 1);
  for (int i = 0; i < kRounds; ++i) {
    for (std::vector<Stretch>* side : {&without, &with}) {
      const auto round = std::make_unique<Round>(ends, side == &with, *side);
      if (const int failed = ReplayFile(path, *round)) return failed;
      round->Finish();
    }
  }
  printf("[");
  for (size_t i = 0; i < with.size(); ++i) {
    const uint64_t added = with[i].cpu_ns > without[i].cpu_ns ? with[i].cpu_ns - without[i].cpu_ns : 0;
    printf("%s{\"clients\": %llu, \"link_ns\": %llu}", i ? ", " : "", static_cast<unsigned long long>(with[i].clients),
           static_cast<unsigned long long>(added));
  }
  printf("]\n");
  return 0;
}

}  // namespace
}  // namespace spantap

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: link_cost FILE [MONO_NS...]\n");
    return 2;
  }
  std::vector<uint64_t> ends;
  for (int i = 2; i < argc; ++i) ends.push_back(strtoull(argv[i], nullptr, 10));
  return spantap::Main(argv[1], ends);
}
