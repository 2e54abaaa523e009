// SPDX-License-Identifier: Apache-2.0
//
// The place for inference: which open server exchange of a process caused this client exchange, when
// no header says so. Candidates in, decision with evidence out. Each rule is one implementation; the
// linker asks them in the order of rules.cc and takes the first that does not say kNotMine.
//
//   kNotMine ─► next rule        kLinked ─► drawn if confidence >= threshold, else refused
//   kLater   ─► asked again when the rule wakes the client, at the latest with `final`
//   kRefused ─► the cause finder is asked (cause_join.cc), unless it is for good: a root, counted by its reason
//
// Rules keep what they learn in ProcessState (process_state.h), never in a member that may be gone.
// Pure with respect to their inputs: no I/O, no clock. Event thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "agent/cause/confidence.h"
#include "agent/connections/exchange.h"
#include "agent/link/head_digest.h"
#include "agent/link/linked_exchange.h"
#include "agent/link/member_list.h"

namespace spantap {

struct ProcessState;
struct Crowd;
struct Lane;
struct Leg;

// Places a member can stand in. Server and client exchanges share the numbers, never the lists.
enum Slot : uint8_t {
  kSlotOpen,       // server: ProcessState::open
  kSlotTrace,      // server: ProcessState::by_trace
  kSlotRequestId,  // server: ProcessState::by_request_id; client: the linker's table of all processes
  kSlotThread,     // server: ThreadState::held
  kSlotCrowd,      // server: Crowd::open
  kSlotLane,       // server: Lane::unserved; client: Lane::undecided
  kSlotAnswered,   // client: Lane::answered
  kSlotWaiter,     // client: Member::waiters of a server exchange
  kSlotJoin,       // both: the connection join's table
  kSlotOutgoing,   // client: those that wait for a handed-off span, by the parent-id they sent
  kSlotHandedId,   // both: those that wait for a handed-off span, by x-request-id
  kSlotLikely,     // client: Node::likely_of of its best candidate
  kSlotHandedBy,   // client with a handed-off span: by the span it waits for, a parent of its own process
  kSlotLegOpen,    // server: Leg::open; client: Leg::answered
  kSlotLeg,        // server: Leg::unserved; client: Leg::waiting
  kSlotCount,
};

// An exchange as the rules see it. Lives from the request head until its tree is delivered.
struct Member {
  explicit Member(Exchange& from) : exchange(&from), id(from.id), role(from.role) {
    for (Hook& hook : hooks) hook.member = this;
  }

  Exchange* exchange;
  uint64_t id;  // Exchange::id: ascending in order of request heads
  Role role;
  bool responded = false;  // the response head is there
  bool finished = false;
  HeadDigest request;
  HeadDigest response;
  ProcessState* process = nullptr;
  Member* cause = nullptr;    // client: the server exchange it was linked to
  uint32_t client_count = 0;  // server: clients linked to it
  uint32_t busy_clients = 0;  // server: of these, without a response yet
  bool answered = false;      // server: a client of its got a response, the last being
  HeadDigest last_answer;
  uint32_t answer_turn = 0;  // in this turn of
  uint32_t answer_tid = 0;   // this thread; 0: not counted
  MemberList waiters;        // server: clients asked again when this one is answered or over
  Hook hooks[kSlotCount];

  // Learned at arrival, see the rules.
  uint64_t arrival = 0;     // server: number of its request in the process
  bool overlapped = false;  // server: another request was open when it came
  uint8_t target_seen = 0;  // server: recent requests with its method and target
  uint8_t request_id_seen = 0;
  Crowd* crowd = nullptr;         // server: the requests with an equal head
  Lane* lane = nullptr;           // both: those of one thread
  Leg* leg = nullptr;             // both: equal heads at the two ends of encrypted connections (encrypted_rule.cc)
  uint64_t order_choice = 0;      // client: id of the server exchange that order proposes; 0: none
  bool order_sure = false;        // no other could have come next
  Member* pair_choice = nullptr;  // client: the server exchange whose response followed, while it is told
  bool pair_sure = false;         // no other response could have been meant
  // Client, what loop turns tell (crowd_turns.cc).
  bool by_turns = false;     // its turn's requests are those read `hop` turns before, one for one
  bool left_open = false;    // it may have got a response that another was given without being sure
  bool turns_sure = false;   // pair_choice is right by the turns of request and response
  bool by_pool = false;      // and by the connection that it got
  uint64_t pool_choice = 0;  // id of the server exchange that the free connections propose
  uint64_t free_ns = 0;      // when its connection had the response before; 0: unknown
};

// Clients that are to be asked again.
using Wake = std::vector<Member*>;

struct LinkQuestion {
  Member& client;
  ProcessState& process;
  // Open server exchanges that share an id with the client (trace id, or else x-request-id), oldest
  // first: if there are any, the cause is one of them.
  const absl::InlinedVector<Member*, 4>& narrowed;
  // Asked when the request is written; what is open in the process now was open then. Later askings
  // happen with other exchanges open.
  bool first = true;
  // No evidence will come any more: decide or refuse.
  bool final = false;
};

struct LinkDecision {
  enum class State : uint8_t { kNotMine, kLater, kLinked, kRefused } state = State::kNotMine;
  Member* server = nullptr;  // for kLinked
  Confidence confidence = 0;
  absl::string_view reason;  // for kRefused: why nothing is claimed, for kLinked: why not more; a static name
  bool for_good = false;     // for kRefused: none of the open requests caused it, whatever else may be found out

  static LinkDecision NotMine() { return {}; }
  static LinkDecision Later() { return {State::kLater, nullptr, 0, "", false}; }
  static LinkDecision Link(Member* server, Confidence confidence) {
    return {State::kLinked, server, confidence, "", false};
  }
  static LinkDecision Refuse(const char* reason) { return {State::kRefused, nullptr, 0, reason, false}; }
  static LinkDecision Exclude(const char* reason) { return {State::kRefused, nullptr, 0, reason, true}; }
};

class InferenceRule {
 public:
  virtual ~InferenceRule() = default;
  virtual LinkRule rule() const = 0;
  virtual LinkDecision Decide(const LinkQuestion& question) = 0;
  // What a rule may learn from, in capture order, for exchanges of both roles. A rule must have
  // decided when the response of the last possible cause is written: nothing waits longer.
  virtual void OnRequest(Member&) {}
  virtual void OnResponse(Member&, Wake&) {}
  virtual void OnFinished(Member&, Wake&) {}
  // Some rule linked `client` (client.cause is set).
  virtual void OnLinked(Member& client) {}
  // A connection of this process carries what nobody can read.
  virtual void OnForeign(uint32_t tgid, const ConnectionEnds& ends, Opener opener) {}
  virtual void OnProcessEnd(uint32_t tgid) {}
  // The client is decided, one way or the other: forget it.
  virtual void Forget(Member& client) {}
};

}  // namespace spantap
