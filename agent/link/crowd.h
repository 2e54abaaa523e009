// SPDX-License-Identifier: Apache-2.0
//
// Requests with equal heads that are open in one process at the same time, and the outgoing requests
// with that head: who belongs to whom can be told only by order and by the response pairs.
//
// One lane per reading thread (only while all heads of an exchange are handled by one thread does a
// lane say anything, see ProxyClass::one_thread). Two independent proposals per outgoing request:
//
//   order  when it is written: the requests of the lane that nothing was sent for yet ("unserved").
//          Exactly one: sure. Several: the oldest, a guess, and every further choice is a guess until
//          none is left unserved.
//   pair   when an outer response is written: the inner responses that were read and not yet passed
//          on ("answered") and agree with it. The same: one is sure, several are a guess.
//
// In an event loop, turns (crowd_turns.cc): a request belongs to those read so many turns before, a response, too.
//
// Used by proxy_rule.cc. Event thread only. Memory: a few lists per distinct open head.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "agent/link/inference.h"

namespace spantap {

// The requests that one turn passes on. They are those of the turn `hop` turns before, if as many were written as read.
struct TurnGroup {
  uint32_t read_turn = 0;
  uint32_t write_turn = 0;
  uint32_t size = 0;  // requests read
  uint32_t written = 0;
  bool odd = true;  // others may have come between
};

struct Lane {
  uint32_t tid = 0;
  MemberList unserved;   // server exchanges
  MemberList undecided;  // clients, in order of their requests
  MemberList answered;   // clients, in order of their responses; failed ones too (not responded)
  bool order_guessed = false;
  bool pair_guessed = false;
  TurnGroup group;  // of the last turn that wrote anything
  // Something happened that one request for one outgoing request, and one response for one, do not
  // explain (a retry, a mirrored request, a lost response): no order, or no pair, is sure while a
  // request with an id up to this one is open.
  uint64_t odd_order = 0;
  uint64_t odd_pair = 0;
  uint64_t odd_turn = 0;  // no group of a turn is sure: one that waits may look served
  uint64_t newest = 0;    // id of the last exchange that came
};

struct Crowd {
  uint64_t key = 0;
  uint32_t open_count = 0;
  MemberList open;  // server exchanges, unanswered, by arrival
  // Clients in a lane keep the crowd, too.
  uint32_t clients = 0;
  Lane first;
  bool first_used = false;
  std::vector<std::unique_ptr<Lane>> more;

  Lane& LaneOf(uint32_t tid);
  uint64_t oldest_open() const { return open.empty() ? UINT64_MAX : open.front()->id; }
};

// A server exchange joins or leaves (answered or over).
void EnterCrowd(Crowd& crowd, Member& server);
void LeaveCrowd(Crowd& crowd, Member& server);
// Requests or responses of a lane that are looked at for one. More at once are a guess in any case.
constexpr int kMaxPairs = 16;
// A client whose cause is one of several in the crowd. Sets its order choice.
void QueueClient(Crowd& crowd, Member& client);
void ForgetClient(Member& client);
// Something was sent for `server`, which may stand in a crowd; it may be sent again.
void MarkServed(Member& server);
void MarkServable(Member& server);
// A proxy may send the same request again after this outcome.
bool MayBeRetried(const Member& client);
// A response of a queued client was read, or it failed.
void ClientAnswered(Member& client);
// The response of `server` is written: sets the pair choice of the client it passes on, if any, and
// returns it.
Member* PairResponse(Member& server);
// Loop turns (crowd_turns.cc). A client is written: true if only the oldest unserved request can have caused it.
bool JoinTurn(const Crowd& crowd, Lane& lane, const Member& client, bool retries);
// `client` stands in its lane. When its turn's group is whole: what the connections say of all of it.
void CloseTurn(const Crowd& crowd, Lane& lane);
// The client whose response that of `server` passes on; null if turns leave it open.
Member* PairByTurns(Lane& lane, Member& server);
// By turns, the response of `client` is another's than that of `server`.
bool RuledOut(const Member& client, const Member& server);
// An answered client goes. If not by turns, the others of its turns may be what it should have been.
void LeaveTurn(Lane& lane, const Member& client);
// Clients of the lane that no open request can have caused any more.
void TakeHopeless(const Crowd& crowd, Lane& lane, Wake& wake);

}  // namespace spantap
