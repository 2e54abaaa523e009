// SPDX-License-Identifier: Apache-2.0
//
// Trees of linked exchanges for people (`spantap trace`) and for scripts (`--json`, one object per
// span and line).
//
// Event thread only. Writes to the given stream; colours and duration bars only if `terminal`.
// Every byte that came from the wire is escaped before it is printed.
#pragma once

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "agent/link/linked_exchange.h"
#include "agent/spans/span_builder.h"

namespace spantap {

struct ViewSettings {
  bool json = false;
  bool terminal = false;  // colours and bars
  int columns = 100;      // width of a terminal
  SpanStyle style;        // query redaction, the same as for spans
};

class TraceView {
 public:
  using ServiceName = std::function<std::string(uint32_t tgid)>;
  TraceView(const ViewSettings& settings, std::ostream& out, ServiceName service_name);
  // Prints the sampled members of a tree. `wall_minus_mono_ns` as for BuildSpan.
  void Print(const std::vector<LinkedExchange>& tree, uint64_t wall_minus_mono_ns);

 private:
  ViewSettings settings_;
  std::ostream& out_;
  ServiceName service_name_;
};

}  // namespace spantap
