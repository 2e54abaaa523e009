// SPDX-License-Identifier: Apache-2.0
//
// A span that a process handed off, with what tells which exchange it is of.
//
// Made by whoever decodes a hand-off record, read by agent/link. Values; one thread at a time.
#pragma once

#include <array>
#include <cstdint>

#include "exporter/model/span.h"

namespace spantap {

// The connection that the span's request used: the downstream one of a server span, the upstream one of a client
// span. What is zero is not known. Untrusted: a producer may say anything.
struct SpanConnection {
  uint8_t family = 0;  // 4 or 6; 0: nothing is known
  uint16_t local_port = 0;
  uint16_t peer_port = 0;
  std::array<uint8_t, 16> local_address = {};  // IPv4: the first four bytes
  std::array<uint8_t, 16> peer_address = {};
};

struct HandedSpan {
  Span span;
  SpanConnection connection;
  uint32_t tgid = 0;                // SO_PEERCRED's
  uint64_t wall_minus_mono_ns = 0;  // of the clocks when it came: its times are wall clock's
};

}  // namespace spantap
