// SPDX-License-Identifier: Apache-2.0
//
// One socket of one process: decides protocol and role from the first bytes, feeds two streams, keeps
// the end conditions, and says what the kernel need not copy.
//
//   deciding ──first request or response──► paired ──CONNECT, Upgrade──► opaque
//       └────────────TLS, HTTP/2, other─────────────────────────────────────┘
//
// Used by ConnTable. Event thread. Memory: two parsers, max_pending exchanges; while deciding at most
// kMaxHeldBytes of first bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/capture/event_source.h"
#include "agent/connections/pairing.h"
#include "agent/connections/stream.h"

namespace spantap {

class Connection {
 public:
  using OrderFn = std::function<void(uint64_t conn_id, const spantap_order&)>;
  Connection(const PairingEnv& env, const OrderFn& order, uint64_t conn_id, uint32_t tgid);

  void OnOpen(const spantap_open_event& open);
  void OnData(const EventView& event);
  // Returns true if the connection is over.
  bool OnEnd(const spantap_end_event& end);
  // The process is gone: its sockets are closed.
  void OnExit(uint64_t mono_ns);
  // Forgotten or cut off: open exchanges end as unfinished.
  void Abandon(uint64_t mono_ns);
  // Nothing has come for a while: a response with a hidden end is over.
  void OnQuiet();

  uint32_t tgid() const { return tgid_; }
  bool EndHidden() const;

 private:
  enum class State : uint8_t { kDeciding, kPaired, kOpaque };
  enum Direction : uint8_t { kIn = 0, kOut = 1 };
  struct Held {  // a first piece, too short to tell
    Direction direction;
    CallStamp call;
    Piece piece;
    std::string bytes;
  };

  void Decide(Direction direction, const CallStamp& call, const Piece& piece);
  bool Hold(Direction direction, const CallStamp& call, const Piece& piece);
  std::string HeldBytes(Direction direction) const;
  uint64_t HeldBegin(Direction direction) const;
  uint64_t HeldEnd(Direction direction) const;
  void DropHeld(Direction direction);
  void Become(const WireProtocol& protocol, Role role, Direction first, const CallStamp& call, const Piece& piece);
  void Take(Direction direction, const CallStamp& call, const Piece& piece);
  void EndDirection(Direction direction, uint64_t position, bool reset);
  void BecomeOpaque(uint64_t mono_ns);
  void GiveOrder();
  bool IsRequest(Direction direction) const { return (direction == kIn) == (role_ == Role::kServer); }
  Direction ResponseDirection() const { return role_ == Role::kServer ? kOut : kIn; }

  const PairingEnv& env_;
  const OrderFn& order_fn_;
  const uint32_t tgid_;
  ConnectionEnds endpoint_;
  Opener opener_ = Opener::kUnknown;
  State state_ = State::kDeciding;
  Role role_ = Role::kServer;
  bool opened_ = false;            // the open record was seen
  std::optional<HeadStamp> dial_;  // its connect() was seen
  uint32_t dial_tgid_ = 0;
  uint64_t request_ended_ns_ = 0;  // the requests' direction ended
  uint32_t undecided_pieces_ = 0;
  spantap_order order_ = {};
  std::vector<Held> held_;
  std::unique_ptr<Pairing> pairing_;
  Stream streams_[2];
};

}  // namespace spantap
