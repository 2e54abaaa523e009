// SPDX-License-Identifier: Apache-2.0
//
// Equal heads by the turns of an event loop. Two hard facts, once known: a request is written `hop` turns after it was
// read, and its response `back` turns after that of the upstream was. What is left is a few requests that were read
// together and answered together. Of them, the first read got the connection that had come free last: that, and the
// order of their requests or that of their responses.
//
//   read     s1 s2 | hop | written c2 c1 ... read  c1' c2' | back | written s1' s2'
//
// Order alone proves nothing: 2 to 4 of 100 are out of order within a turn (Envoy keeps what it is to write in a heap),
// more if more is read in a turn.
#include <algorithm>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "agent/link/processes.h"

namespace spantap {
namespace {

constexpr int kMaxNewer = 64;  // open requests looked at to find those of a turn

using Members = absl::InlinedVector<Member*, kMaxPairs>;

bool AllSeen(const Member& member, uint32_t tid, uint32_t turn) {
  const auto it = member.process->threads.find(tid);
  return it != member.process->threads.end() && it->second->heads.Complete(turn);
}

// The group of what this turn writes, by what is unserved when it writes the first.
TurnGroup GroupOf(const Lane& lane, const Member& client) {
  const HeadStamp& out = client.exchange->request_stamp;
  TurnGroup group;
  group.write_turn = out.turns.turn;
  group.read_turn = group.write_turn - client.process->proxy_class.hop.turns;
  group.odd = !client.process->proxy_class.hop.known() || !out.counted || !AllSeen(client, out.tid, group.read_turn);
  int looked = 0;
  for (const Hook* hook = lane.unserved.first(); hook->member != nullptr; hook = hook->next) {
    const HeadStamp& in = hook->member->exchange->request_stamp;
    const uint32_t ago = group.write_turn - in.turns.turn;
    // An older one waits for something, and may be passed on in any turn.
    if (!in.counted || ++looked > kMaxPairs || ago > group.write_turn - group.read_turn) {
      group.odd = true;
      break;
    }
    if (in.turns.turn != group.read_turn) break;
    ++group.size;
  }
  return group;
}

bool InGroup(const TurnGroup& group, const Member& server) {
  return server.exchange->request_stamp.turns.turn == group.read_turn;
}

struct Whole {
  Members servers;  // in order of reading; not all if newer ones are many
  Members clients;  // in order of writing
};

Whole MembersOf(const Crowd& crowd, const Lane& lane) {
  Whole whole;
  for (const Hook* hook = lane.undecided.last(); hook->member != nullptr; hook = hook->prev) {
    if (hook->member->exchange->request_stamp.turns.turn != lane.group.write_turn) break;
    whole.clients.push_back(hook->member);
  }
  int looked = 0;
  for (const Hook* hook = crowd.open.last(); hook->member != nullptr && ++looked <= kMaxNewer; hook = hook->prev) {
    const Member& server = *hook->member;
    if (server.lane != &lane) continue;
    if (InGroup(lane.group, server)) whole.servers.push_back(hook->member);
    if (server.exchange->request_stamp.turns.turn - lane.group.read_turn > INT32_MAX) break;
  }
  std::reverse(whole.clients.begin(), whole.clients.end());
  std::reverse(whole.servers.begin(), whole.servers.end());
  return whole;
}

// Of the connections that were there, each request, in order of reading, took the one that had come free last; what was
// dialled, was dialled for what had been read last.
bool AssignConnections(const Whole& whole) {
  const uint64_t pool = PoolOf(*whole.clients.front());
  for (const Member* client : whole.clients) {
    if ((client->free_ns == 0 && !client->exchange->dial) || PoolOf(*client) != pool) return false;
  }
  for (const Member* server : whole.servers) {
    Member* best = nullptr;
    Member* dialled = nullptr;
    for (Member* client : whole.clients) {
      if (DialledFor(*client, *server)) dialled = client;
      if (client->exchange->dial || client->pool_choice != 0) continue;
      if (client->free_ns >= server->exchange->request_stamp.end_mono_ns) continue;
      if (best == nullptr || client->free_ns > best->free_ns) best = client;
    }
    if (dialled != nullptr) best = dialled;
    if (best == nullptr || best->pool_choice != 0) return false;
    best->pool_choice = server->id;
  }
  return true;
}

bool AnswersTell(const Member& server) {
  const HeadStamp& in = server.exchange->request_stamp;
  const HeadStamp& out = server.exchange->response_stamp;
  return server.process->proxy_class.back.known() && in.counted && out.counted && in.tid == out.tid;
}

// What the connection says, and the orders of requests and of responses: one of them must say the same, as long as the
// pool is not known both.
bool Agreed(const Member& proposed, const Member& server, bool first_answered) {
  const PoolHabit& habit = server.process->proxy_class.habit;
  const bool dialled = proposed.exchange->dial.has_value();
  const bool first_written = proposed.order_choice == server.id;
  if (habit.Known(dialled)) return first_answered || first_written;
  return first_answered && first_written && habit.Spotless(dialled);
}

bool AnsweredInTurn(const Member& client, const Member& server) {
  const HeadStamp& inner = client.exchange->response_stamp;
  const HeadStamp& outer = server.exchange->response_stamp;
  return inner.counted && inner.tid == outer.tid &&
         outer.turns.turn - inner.turns.turn == client.process->proxy_class.back.turns;
}

bool InTurns(const Member& client, const Member& server) {
  const uint32_t turns = client.exchange->request_stamp.turns.turn - server.exchange->request_stamp.turns.turn;
  const TurnHop& hop = client.process->proxy_class.hop;
  return hop.known() && turns == hop.turns && AnsweredInTurn(client, server);
}

}  // namespace

bool JoinTurn(const Crowd& crowd, Lane& lane, const Member& client, bool retries) {
  const HeadStamp& out = client.exchange->request_stamp;
  if (lane.group.written == 0 || lane.group.write_turn != out.turns.turn || !out.counted) {
    lane.group = GroupOf(lane, client);
  }
  ++lane.group.written;
  lane.group.odd |= retries || crowd.oldest_open() <= lane.odd_turn;
  // A new connection carries whatever waits when it is there.
  const Member* const newest = lane.unserved.last()->member;
  lane.group.odd |= client.exchange->dial && newest != nullptr && !InGroup(lane.group, *newest);
  if (lane.group.odd || lane.group.written > lane.group.size) lane.odd_turn = lane.newest;
  return !lane.group.odd && lane.group.size == 1 && lane.group.written == 1 && !client.exchange->dial;
}

void CloseTurn(const Crowd& crowd, Lane& lane) {
  const TurnGroup& group = lane.group;
  if (group.odd || group.written < group.size || group.written > group.size + 1) return;
  const Whole whole = MembersOf(crowd, lane);
  const bool even =
      group.written == group.size && whole.clients.size() == group.size && whole.servers.size() == group.size;
  for (Member* client : whole.clients) {
    client->by_turns = even;
    client->pool_choice = 0;
  }
  if (!even || AssignConnections(whole)) return;
  for (Member* client : whole.clients) client->pool_choice = 0;
}

Member* PairByTurns(Lane& lane, Member& server) {
  const HeadStamp& out = server.exchange->response_stamp;
  const uint32_t answer_turn = out.turns.turn - server.process->proxy_class.back.turns;
  if (!AnswersTell(server) || !AllSeen(server, out.tid, answer_turn)) return nullptr;
  Members possible;
  Member* proposed = nullptr;
  bool open = false;
  int looked = 0;
  for (const Hook* hook = lane.answered.first(); hook->member != nullptr; hook = hook->next) {
    Member& client = *hook->member;
    if (++looked > kMaxPairs) return nullptr;
    if (!client.by_turns || !client.responded || !InTurns(client, server)) continue;
    if (!ResponseAgrees(client.response, server.response)) continue;
    possible.push_back(&client);
    // A connection that came free later carries what waited for it.
    open |= client.left_open || client.free_ns > server.exchange->request_stamp.end_mono_ns;
    if (client.pool_choice == server.id) proposed = &client;
  }
  if (possible.size() == 1 && !open) return possible.front();
  const bool first_answered = possible.size() > 1 && proposed == possible.front();
  if (proposed != nullptr && Agreed(*proposed, server, first_answered)) {
    proposed->by_pool = true;
    return proposed;
  }
  for (Member* client : possible) client->left_open = true;
  return nullptr;
}

bool RuledOut(const Member& client, const Member& server) {
  if (!AnswersTell(server) || !client.exchange->response_stamp.counted) return false;
  return client.by_turns ? !InTurns(client, server) : !AnsweredInTurn(client, server);
}

void LeaveTurn(Lane& lane, const Member& client) {
  if (!client.by_turns || client.turns_sure) return;
  const HeadStamp& out = client.exchange->request_stamp;
  const HeadStamp& back = client.exchange->response_stamp;
  int looked = 0;
  for (const Hook* hook = lane.answered.first(); hook->member != nullptr && ++looked <= kMaxPairs; hook = hook->next) {
    const Exchange& other = *hook->member->exchange;
    if (other.request_stamp.turns.turn != out.turns.turn) continue;
    if (other.response_stamp.turns.turn == back.turns.turn) hook->member->left_open = true;
  }
}

}  // namespace spantap
