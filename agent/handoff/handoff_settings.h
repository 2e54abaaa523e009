// SPDX-License-Identifier: Apache-2.0
//
// What the hand-off is told: where producers find it, who may attach, and what they may use.
//
// Values; compared at a reload: if they are equal, the rings live on.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/spans/span_builder.h"
#include "exporter/model/resource_attributes.h"

namespace spantap {

// Of connections (each is one ring) and of ring bytes; a connection whose ring does not fit gets a smaller one.
struct HandoffLimits {
  size_t connections = 1024;
  size_t connections_per_uid = 512;
  size_t connections_per_process = 256;
  uint64_t bytes = 512u << 20;
  uint64_t bytes_per_uid = 256u << 20;
  uint64_t bytes_per_process = 128u << 20;
  // Attachments of one uid: this many at once, then this many a second.
  double attach_burst = 512;
  double attach_per_second = 50;

  bool operator==(const HandoffLimits&) const = default;
};

struct HandoffSettings {
  std::vector<std::string> sockets;  // paths; none: no hand-off
  std::vector<uid_t> allowed_uids;   // none: all
  HandoffLimits limits;
  ResourceAttributes resource_attributes;  // of every producer's resource; what is found wins
  SpanStyle::QueryValues query_values = SpanStyle::QueryValues::kRedacted;

  bool operator==(const HandoffSettings&) const = default;
};

}  // namespace spantap
