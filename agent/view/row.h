// SPDX-License-Identifier: Apache-2.0
//
// A delivered tree, arranged for printing: one Trace per trace id, its rows in the order of the tree
// (each parent directly above its children), with what is shown of each span.
//
// Made and used within one TraceView::Print(). Rows point into the tree they were made from.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/link/linked_exchange.h"
#include "agent/spans/span_builder.h"

namespace spantap {

struct Row {
  const LinkedExchange* linked = nullptr;
  int depth = 0;        // below its local root
  std::string service;  // untrusted bytes
  std::string path;     // path and redacted query; CONNECT: the authority. Untrusted bytes
  bool failed = false;
  uint64_t start_mono_ns = 0;
  uint64_t end_mono_ns = 0;
};

struct Trace {
  TraceId id;
  std::vector<Row> rows;
  uint64_t start_mono_ns = 0;
  uint64_t end_mono_ns = 0;
};

// Sampled members only. A member whose parent is not in the tree, or does not stand before it, is a
// local root.
std::vector<Trace> Arrange(const std::vector<LinkedExchange>& tree, const SpanStyle& style,
                           const std::function<std::string(uint32_t tgid)>& service_name);

// How it ended: "503", "connection_reset", "200 response_aborted", "-".
std::string Outcome(const Exchange& exchange);

}  // namespace spantap
