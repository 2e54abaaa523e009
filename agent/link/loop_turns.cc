// SPDX-License-Identifier: Apache-2.0
#include "agent/link/loop_turns.h"

#include "absl/strings/string_view.h"
#include "agent/link/inference.h"

namespace spantap {

void HeadCounts::Note(const HeadStamp& stamp, bool read) {
  if (!stamp.counted) {
    known_ = false;
    return;
  }
  const spantap_turns& now = stamp.turns;
  if (!known_ || now.nread != reads_ + (read ? 1 : 0)) {
    gap_from_ = known_ ? turn_ : now.turn;
    gap_to_ = now.turn;
  }
  known_ = true;
  turn_ = now.turn;
  reads_ = now.nread;
}

bool HeadCounts::Complete(uint32_t turn) const { return known_ && turn - gap_from_ > gap_to_ - gap_from_; }

FreeConnections::Four& FreeConnections::FourOf(uint64_t conn_id) const {
  return (*cells_)[HashCombine(conn_id, 0) % cells_->size()];
}

void FreeConnections::Note(uint64_t conn_id, uint64_t free_ns) {
  if (cells_ == nullptr) cells_ = std::make_unique<std::array<Four, 64>>();
  Four& four = FourOf(conn_id);
  Cell* place = &four[0];
  for (Cell& cell : four) {
    if (cell.conn_id == conn_id) {
      place = &cell;
      break;
    }
    if (cell.free_ns < place->free_ns) place = &cell;
  }
  *place = {conn_id, free_ns};
}

uint64_t FreeConnections::Find(uint64_t conn_id) const {
  if (cells_ == nullptr) return 0;
  for (const Cell& cell : FourOf(conn_id)) {
    if (cell.conn_id == conn_id) return cell.free_ns;
  }
  return 0;
}

void PoolHabit::Learn(const Member& client) {
  const HeadStamp& in = client.cause->exchange->request_stamp;
  const HeadStamp& out = client.exchange->request_stamp;
  if (!in.counted || !out.counted || in.tid != out.tid) return;
  if (client.exchange->dial) own_dial_.Add(DialledFor(client, *client.cause));
  if (client.exchange->dial || client.free_ns == 0) return;
  const Taking now = {client.cause->id, PoolOf(client), in.turns.turn, in.tid, in.end_mono_ns, client.free_ns};
  const Taking before = last_;
  last_ = now;
  if (before.pool != now.pool || before.turn != now.turn || before.tid != now.tid) return;
  if (before.server == now.server || before.read_ns == now.read_ns) return;
  const bool in_order = before.read_ns < now.read_ns;
  const Taking& first = in_order ? before : now;
  const Taking& second = in_order ? now : before;
  // What came free in between says nothing about the choice of the first.
  if (first.free_ns < first.read_ns && second.free_ns > first.read_ns) return;
  latest_first_.Add(first.free_ns < first.read_ns && first.free_ns > second.free_ns);
}

bool DialledFor(const Member& client, const Member& server) {
  const HeadStamp& in = server.exchange->request_stamp;
  const auto& dial = client.exchange->dial;
  return dial && dial->counted && in.counted && dial->tid == in.tid && dial->turns.turn == in.turns.turn &&
         dial->turns.nread == in.turns.nread;
}

uint64_t PoolOf(const Member& client) {
  const ConnectionEnds& ends = client.exchange->endpoint;
  const absl::string_view address(reinterpret_cast<const char*>(ends.peer_addr), sizeof(ends.peer_addr));
  return HashCombine(HashBytes(address), uint64_t{ends.peer_port} << 32 | client.exchange->request_stamp.tid);
}

}  // namespace spantap
