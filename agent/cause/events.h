// SPDX-License-Identifier: Apache-2.0
//
// What the cause finder is told of one process: heads of requests and responses crossing its boundary, each with the
// moment it did. Plain values, no ownership. An *incoming* request is one that the process serves, an *outgoing* one
// is what it sends to others; the question is which incoming request caused an outgoing one.
#pragma once

#include <cstdint>

#include "absl/container/inlined_vector.h"

namespace spantap {

// When and where a head crossed the system call boundary. The counters are the thread's, counted in the kernel, so
// that lost records do not disturb them.
struct Moment {
  uint64_t ns = 0;  // monotonic
  uint32_t tid = 0;
  uint32_t turn = 0;     // returns from epoll_wait, poll, select
  uint32_t burst = 0;    // of these, those that could sleep
  uint32_t reads = 0;    // heads read, this one included
  uint32_t writes = 0;   // heads written, this one included
  bool counted = false;  // the counters are valid
};

// Hashes of values that rarely occur twice by chance (tokens.h); sorted, without repetition.
using TokenList = absl::InlinedVector<uint64_t, 4>;

struct IncomingRequest {
  uint64_t id = 0;     // unique among all requests of the run, ascending
  Moment at;           // its head was read
  uint64_t route = 0;  // hash of what its handler is chosen by (routes.h): method, templated path, port
  TokenList tokens;
};

struct OutgoingRequest {
  uint64_t id = 0;  // as above, one sequence for both
  // Its head was written; or its connection was dialled, if it is the first on it and was dialled just before.
  Moment at;
  bool dialled = false;      // the latter
  uint64_t call = 0;         // hash of what it asks for: destination, method, templated path
  uint64_t connection = 0;   // of this process
  uint64_t destination = 0;  // hash of the peer's address and port
  TokenList tokens;
};

}  // namespace spantap
