// SPDX-License-Identifier: Apache-2.0
//
// Which handler an incoming request goes to, and what an outgoing one asks for, as far as the path shows: its template,
// with the segments that are ids replaced by "*". Two requests with one template have one hash, in every run and on
// every machine (so that what was learned can be kept in a file). The query plays no part.
//
// A segment is an id if it looks like one (segment_template.h), or if more than kMaxChildren different ones have been
// seen in its place: 10,000 ids in paths do not make 10,000 routes. Then the place is *crowded*, for good: everything
// in it is "*", apart from the words that had been seen kKeepHits times by then. Those are the names of real handlers
// that a scanner, or one list of names beside them, would otherwise make one, and what was learned of them stays.
//
// Event thread. Memory: kMaxNodes nodes, 52 KiB a table, whatever is sent; when all are in use, what is new is "*".
#pragma once

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "agent/protocols/http_head.h"

namespace spantap {

class RouteTable {
 public:
  static constexpr size_t kMaxChildren = 32;
  static constexpr uint16_t kKeepHits = 16;
  static constexpr size_t kMaxNodes = 1536;  // what a flat_hash_map of 2048 holds without growing, erased ones included
  static constexpr size_t kMaxPlaces = 256;  // more of them count as one
  static constexpr size_t kMaxSegments = 12;  // deeper ones count as one

  // `place`: what else makes a difference: the port it came in at, or the destination it goes to. Never 0.
  uint64_t RouteOf(const HttpHead& request, uint64_t place);

  size_t nodes() const { return nodes_.size(); }
  size_t bytes() const { return nodes_.capacity() * (sizeof(*nodes_.begin()) + 1); }

 private:
  // A place in a path, by the hash of everything before it.
  struct Node {
    uint64_t before = 0;    // the place that it is in; 0: none
    uint16_t hits = 0;      // requests, up to kKeepHits
    uint16_t children = 0;  // different segments seen here, without "*"
    bool crowded = false;
  };

  uint64_t Root(uint64_t place);
  uint64_t Step(uint64_t at, absl::string_view segment_template);
  uint64_t StepToId(uint64_t at);
  void Insert(uint64_t key, uint64_t before);
  void Crowd(uint64_t at, Node& node);

  absl::flat_hash_map<uint64_t, Node> nodes_;
  size_t places_ = 0;
};

}  // namespace spantap
