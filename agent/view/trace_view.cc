// SPDX-License-Identifier: Apache-2.0
#include "agent/view/trace_view.h"

#include "agent/view/json_line.h"
#include "agent/view/row.h"
#include "agent/view/text.h"

namespace spantap {

TraceView::TraceView(const ViewSettings& settings, std::ostream& out, ServiceName service_name)
    : settings_(settings), out_(out), service_name_(std::move(service_name)) {}

void TraceView::Print(const std::vector<LinkedExchange>& tree, uint64_t wall_minus_mono_ns) {
  std::string text;
  for (const Trace& trace : Arrange(tree, settings_.style, service_name_)) {
    if (settings_.json) {
      for (const Row& row : trace.rows) AppendJsonLine(row, wall_minus_mono_ns, &text);
    } else if (settings_.terminal) {
      AppendTerminal(trace, settings_.columns, &text);
    } else {
      AppendPlain(trace, &text);
    }
  }
  // One write per tree, at once: a reader in a pipe follows live.
  out_.write(text.data(), static_cast<std::streamsize>(text.size()));
  out_.flush();
}

}  // namespace spantap
