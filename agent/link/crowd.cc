// SPDX-License-Identifier: Apache-2.0
#include "agent/link/crowd.h"

#include <algorithm>

#include "agent/link/process_state.h"

namespace spantap {
namespace {

bool RetryWaits(const Lane& lane) {
  int looked = 0;
  for (const Hook* hook = lane.answered.first(); hook->member != nullptr; hook = hook->next) {
    if (++looked > kMaxPairs || MayBeRetried(*hook->member)) return true;
  }
  return false;
}

// A client leaves `answered`. If nobody took its response, somebody may have been given another's.
void LeaveAnswered(Lane& lane, Member& client, bool taken) {
  if (!client.hooks[kSlotAnswered].linked()) return;
  client.hooks[kSlotAnswered].Unlink();
  LeaveTurn(lane, client);
  if (!taken && client.responded) lane.odd_pair = lane.newest;
  if (lane.answered.empty()) lane.pair_guessed = false;
}

// An entry of `answered` whose possible causes are all answered explains nothing any more.
void DropStale(const Crowd& crowd, Lane& lane) {
  while (!lane.answered.empty() && lane.answered.front()->id < crowd.oldest_open()) {
    LeaveAnswered(lane, *lane.answered.front(), false);
  }
}

}  // namespace

Lane& Crowd::LaneOf(uint32_t tid) {
  if (!first_used) {
    first_used = true;
    first.tid = tid;
  }
  if (first.tid == tid) return first;
  for (const auto& lane : more) {
    if (lane->tid == tid) return *lane;
  }
  more.push_back(std::make_unique<Lane>());
  more.back()->tid = tid;
  return *more.back();
}

void EnterCrowd(Crowd& crowd, Member& server) {
  server.crowd = &crowd;
  server.lane = &crowd.LaneOf(server.exchange->request_stamp.tid);
  ++crowd.open_count;
  crowd.open.PushBack(server.hooks[kSlotCrowd]);
  server.lane->unserved.PushBack(server.hooks[kSlotLane]);
  server.lane->newest = server.id;
}

void LeaveCrowd(Crowd& crowd, Member& server) {
  --crowd.open_count;
  server.hooks[kSlotCrowd].Unlink();
  // Over without anything sent for it, says a guess: then something may not have been sent for another.
  Lane& lane = *server.lane;
  if (server.hooks[kSlotLane].linked() && lane.order_guessed) lane.odd_order = lane.newest;
  server.hooks[kSlotLane].Unlink();
  if (lane.unserved.empty()) lane.order_guessed = false;
  server.lane = nullptr;
  server.crowd = nullptr;
}

void QueueClient(Crowd& crowd, Member& client) {
  Lane& lane = crowd.LaneOf(client.exchange->request_stamp.tid);
  DropStale(crowd, lane);
  client.crowd = &crowd;
  client.lane = &lane;
  ++crowd.clients;
  lane.undecided.PushBack(client.hooks[kSlotLane]);
  lane.newest = client.id;
  Member* const server = lane.unserved.front();
  const bool retries = RetryWaits(lane);
  const bool plain = server != nullptr && !retries && crowd.oldest_open() > lane.odd_order;
  const bool alone = JoinTurn(crowd, lane, client, retries);
  client.order_sure = alone || (plain && lane.unserved.one() && !lane.order_guessed);
  if (!plain) lane.odd_order = lane.newest;
  if (server == nullptr) return;
  client.order_choice = server->id;
  if (!alone && !lane.unserved.one()) lane.order_guessed = true;
  MarkServed(*server);
  CloseTurn(crowd, lane);
}

void ForgetClient(Member& client) {
  if (client.lane == nullptr) return;
  client.hooks[kSlotLane].Unlink();
  LeaveAnswered(*client.lane, client, false);
  --client.crowd->clients;
  client.lane = nullptr;
  client.crowd = nullptr;
}

void MarkServed(Member& server) {
  if (server.lane == nullptr) return;
  server.hooks[kSlotLane].Unlink();
  if (server.lane->unserved.empty()) server.lane->order_guessed = false;
}

void MarkServable(Member& server) {
  if (server.lane == nullptr || server.hooks[kSlotLane].linked()) return;
  server.lane->unserved.PushBack(server.hooks[kSlotLane]);
}

void ClientAnswered(Member& client) {
  if (client.lane == nullptr || client.hooks[kSlotAnswered].linked()) return;
  client.lane->answered.PushBack(client.hooks[kSlotAnswered]);
}

Member* PairResponse(Member& server) {
  Lane& lane = *server.lane;
  if (Member* const client = PairByTurns(lane, server)) {
    client->pair_choice = &server;
    client->turns_sure = true;
    LeaveAnswered(lane, *client, true);
    return client;
  }
  Member* found = nullptr;
  int agreeing = 0;
  int looked = 0;
  for (const Hook* hook = lane.answered.first(); hook->member != nullptr; hook = hook->next) {
    Member& client = *hook->member;
    if (++looked > kMaxPairs) {
      agreeing = kMaxPairs;
      break;
    }
    if (!client.responded || client.id < server.id || !ResponseAgrees(client.response, server.response)) continue;
    if (RuledOut(client, server)) continue;
    if (++agreeing == 1) found = &client;
  }
  if (found == nullptr) {
    // Answered by the process itself, as it should be if nothing was sent for it.
    if (!server.hooks[kSlotLane].linked()) lane.odd_pair = lane.odd_order = lane.newest;
    return nullptr;
  }
  found->pair_choice = &server;
  found->pair_sure = agreeing == 1 && !lane.pair_guessed && server.id > lane.odd_pair;
  if (agreeing > 1) lane.pair_guessed = true;
  LeaveAnswered(lane, *found, true);
  return found;
}

bool MayBeRetried(const Member& client) { return !client.responded || client.response.status / 100 != 2; }

void TakeHopeless(const Crowd& crowd, Lane& lane, Wake& wake) {
  for (const Hook* hook = lane.undecided.first(); hook->member != nullptr; hook = hook->next) {
    if (hook->member->id > crowd.oldest_open()) break;
    wake.push_back(hook->member);
  }
  DropStale(crowd, lane);
}

}  // namespace spantap
