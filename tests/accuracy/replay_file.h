// SPDX-License-Identifier: Apache-2.0
//
// What the programs of this folder that replay recordings share: a sink that throws everything away, and the way of a
// file's events to whoever looks at them.
#pragma once

#include <cstdio>
#include <memory>
#include <vector>

#include "agent/capture/record_file.h"
#include "agent/connections/conn_table.h"
#include "agent/link/linker.h"

namespace spantap {

class Discard final : public ExchangeSink, public LinkedSink {
 public:
  void OnRequest(Exchange&) override {}
  void OnResponse(Exchange&) override {}
  void OnFinished(std::unique_ptr<Exchange>) override {}
  void OnTree(std::vector<LinkedExchange>) override {}
  void OnSpan(std::unique_ptr<HandedSpan>, const TraceId&) override {}
};

// All events of the file. Returns the exit code: 1 and a message if it cannot be read.
inline int ReplayFile(const char* path, EventSink& sink) {
  auto source = ReplaySource::Open(path);
  if (!source.ok()) return fprintf(stderr, "%s\n", source.status().ToString().c_str()), 1;
  while (!(*source)->Finished()) {
    const auto polled = (*source)->Poll(sink, 0);
    if (!polled.ok()) return fprintf(stderr, "%s\n", polled.status().ToString().c_str()), 1;
  }
  return 0;
}

}  // namespace spantap
