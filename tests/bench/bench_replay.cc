// SPDX-License-Identifier: Apache-2.0
//
// Events -> finished spans on one core: a record file through the whole pipeline (connections, parser,
// pairing, links, span building, queue), without encoding and without a terminal view.
//
// The queue is emptied on the same thread between polls, so that no span is dropped and no second core
// helps. Prints one JSON line: exchanges, spans and the CPU time they took.
#include <cstdio>
#include <ctime>
#include <vector>

#include "agent/capture/record_file.h"
#include "agent/run/pipeline.h"

namespace {

double CpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Empties the queue without waiting.
uint64_t Take(spantap::SpanQueue& queue, std::vector<spantap::Span>& batch) {
  uint64_t taken = 0;
  while (queue.size() != 0 && queue.Pop(batch, 1, 8192, SIZE_MAX, absl::ZeroDuration())) taken += batch.size();
  return taken;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: bench_replay FILE\n");
    return 2;
  }
  auto source = spantap::ReplaySource::Open(argv[1]);
  if (!source.ok()) {
    fprintf(stderr, "%s\n", source.status().ToString().c_str());
    return 1;
  }
  spantap::Ledger ledger;
  spantap::SpanQueue queue({.max_spans = 1 << 20, .max_bytes = size_t{1} << 30}, ledger);
  spantap::SeededIds ids(1);
  spantap::Pipeline pipeline({}, ids, ledger, &queue, [](uint64_t, const spantap_order&) {});
  std::vector<spantap::Span> batch;
  uint64_t spans = 0;
  const double begin = CpuSeconds();
  while (!(*source)->Finished()) {
    const auto polled = (*source)->Poll(pipeline, 0);
    if (!polled.ok()) {
      fprintf(stderr, "%s\n", polled.status().ToString().c_str());
      return 1;
    }
    spans += Take(queue, batch);
  }
  pipeline.Finish();
  spans += Take(queue, batch);
  const double seconds = CpuSeconds() - begin;
  printf("{\"exchanges\": %llu, \"spans\": %llu, \"events\": %llu, \"dropped\": %llu, \"cpu_seconds\": %.6f}\n",
         static_cast<unsigned long long>(pipeline.connections().exchanges), static_cast<unsigned long long>(spans),
         static_cast<unsigned long long>(pipeline.events_processed()),
         static_cast<unsigned long long>(ledger.Snapshot().total_dropped()), seconds);
  return 0;
}
