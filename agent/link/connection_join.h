// SPDX-License-Identifier: Apache-2.0
//
// The two ends of one connection: the client exchange of one process and the server exchange of
// another that are the same request.
//
// TCP: the client's port and the sequence of the request's first byte are equal at both ends, whatever
// translates the server's address in between; the client's address must not contradict (v4-mapped
// IPv6 counts as IPv4). Unix: the pair and the position. Either end may be reported first.
//
// Event thread only. Memory: the exchanges held by the linker, plus 64 KiB.
#pragma once

#include <array>
#include <cstdint>

#include "agent/link/member_list.h"
#include "agent/link/node.h"

namespace spantap {

class ConnectionJoin {
 public:
  // The other end of `node`, if it is here; both are then forgotten. Else `node` waits for it and
  // null is returned.
  Node* Find(Node& node);
  void Forget(Node& node);

  // Connections whose other end did not turn up for one exchange will hardly show one for the next;
  // a small table remembers them. False negatives cost a wait, false positives only patience.
  bool Lonely(const Node& node) const;
  void NoteLonely(const Node& node, bool lonely);

 private:
  MemberIndex waiting_;
  std::array<uint64_t, 8192> lonely_ = {};  // connection ids
};

}  // namespace spantap
