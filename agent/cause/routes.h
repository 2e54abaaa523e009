// SPDX-License-Identifier: Apache-2.0
//
// Which handler an incoming request goes to, and what an outgoing one asks for, as far as the path shows: its template,
// with the segments that are ids replaced by "*". Two requests with one template have one hash, in every run and on every machine (so that what
// was learned can be kept in a file).
//
// A segment is an id if it looks like one (digits, hexadecimal of 8 or more, UUID, long and without vowels, ...), or if
// more than kMaxChildren different ones have been seen in its place: 10,000 ids in paths do not make 10,000 routes.
//
// Event thread. Memory: kMaxNodes nodes of 32 bytes a process, whatever is sent.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "agent/protocols/http_head.h"

namespace spantap {

class RouteTable {
 public:
  static constexpr size_t kMaxChildren = 32;
  static constexpr size_t kMaxNodes = 2048;
  static constexpr size_t kMaxSegments = 12;  // deeper ones count as one

  // `place`: what else makes a difference: the port it came in at, or the destination it goes to.
  uint64_t RouteOf(const HttpHead& request, uint64_t place);

 private:
  // A place in a path: hash of everything before it.
  struct Node {
    uint32_t children = 0;  // different segments seen here, up to kMaxChildren + 1
  };
  absl::flat_hash_map<uint64_t, Node> nodes_;
};

}  // namespace spantap
