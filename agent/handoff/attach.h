// SPDX-License-Identifier: Apache-2.0
//
// The system calls of an attaching: who is at the other end, and its hello.
//
// Used by handoff.cc. Nothing here waits.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "agent/handoff/admission.h"
#include "base/unique_fd.h"

namespace spantap {

// By SO_PEERCRED: who connected, not who holds the descriptor now.
Peer PeerOf(int connection);

// A descriptor that becomes readable when the process that connected ends; invalid if there is none (an old kernel, a
// process that is gone or not seen from here). Needed because a forked child may hold the connection open.
UniqueFd WatchPeer(int connection, const Peer& peer);

enum class PacketState : uint8_t {
  kNone,   // nothing yet
  kTaken,  // *packet has it; cut if it was longer than a hello may be, and then one byte longer than that
  kEnd,    // the peer has gone
};
PacketState TakePacket(int connection, std::string* packet);

}  // namespace spantap
