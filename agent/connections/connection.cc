// SPDX-License-Identifier: Apache-2.0
#include "agent/connections/connection.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace spantap {
namespace {

constexpr uint64_t kForever = std::numeric_limits<uint64_t>::max();

CallStamp StampOf(const spantap_data_event& data) {
  const spantap_event_header& header = data.header;
  return {header.mono_ns, header.tid, header.tgid, (header.flags & SPANTAP_F_COUNTED) != 0, data.turns};
}

Piece PieceOf(const EventView& event) {
  const auto& data = event.As<spantap_data_event>();
  Piece piece;
  piece.position = data.position;
  piece.bytes = data.piece_bytes;
  const size_t room = event.record.size() - sizeof(spantap_data_event);
  piece.copied = event.record.substr(sizeof(spantap_data_event), std::min<size_t>(data.copied_bytes, room));
  piece.call_start = (data.header.flags & SPANTAP_F_CALL_START) != 0;
  piece.call_end = (data.header.flags & SPANTAP_F_CALL_END) != 0;
  piece.tid = data.header.tid;
  piece.mono_ns = data.header.mono_ns;
  return piece;
}

}  // namespace

Connection::Connection(const PairingEnv& env, const OrderFn& order, uint64_t conn_id, uint32_t tgid)
    : env_(env), order_fn_(order), tgid_(tgid) {
  endpoint_.conn_id = conn_id;
}

void Connection::OnOpen(const spantap_open_event& open) {
  opened_ = true;
  if (open.role == SPANTAP_ROLE_CONNECTED) opener_ = Opener::kThis;
  if (open.role == SPANTAP_ROLE_ACCEPTED) opener_ = Opener::kPeer;
  endpoint_.family = open.family;
  endpoint_.local_port = open.local_port;
  endpoint_.peer_port = open.peer_port;
  std::memcpy(endpoint_.local_addr, open.local_addr, sizeof(endpoint_.local_addr));
  std::memcpy(endpoint_.peer_addr, open.peer_addr, sizeof(endpoint_.peer_addr));
  endpoint_.unix_pair = open.unix_pair;
  endpoint_.netns = open.netns;
  // Without the flag a zero says that the kernel did not know it yet.
  const bool read_start = (open.header.flags & SPANTAP_F_READ_FROM_START) != 0;
  const bool write_start = (open.header.flags & SPANTAP_F_WRITE_FROM_START) != 0;
  if (read_start || open.read_position != 0) streams_[kIn].Expect(open.read_position, read_start);
  if (write_start || open.write_position != 0) streams_[kOut].Expect(open.write_position, write_start);
  if (open.dialled_by != 0 && write_start) {
    const bool counted = (open.header.flags & SPANTAP_F_COUNTED) != 0;
    const uint64_t ns = open.header.mono_ns;
    dial_ = HeadStamp{ns, ns, open.write_position, open.header.tid, counted, open.turns};
    dial_tgid_ = open.dialled_by;
  }
}

void Connection::OnData(const EventView& event) {
  if (state_ == State::kOpaque) return;
  const Direction direction = (event.header->flags & SPANTAP_F_WRITE) != 0 ? kOut : kIn;
  const CallStamp call = StampOf(event.As<spantap_data_event>());
  const Piece piece = PieceOf(event);
  if (state_ == State::kDeciding) {
    Decide(direction, call, piece);
  } else {
    Take(direction, call, piece);
  }
}

void Connection::Take(Direction direction, const CallStamp& call, const Piece& piece) {
  pairing_->SetCall(call, false);
  env_.counters.duplicate_bytes += streams_[direction].Take(piece);
  pairing_->NoteBytes(IsRequest(direction));
  if (pairing_->opaque() != nullptr) return BecomeOpaque(call.mono_ns);
  GiveOrder();
}

// ---------------------------------------------------------------- ends

bool Connection::OnEnd(const spantap_end_event& end) {
  CallStamp call;
  call.mono_ns = end.header.mono_ns;
  call.tid = end.header.tid;
  call.tgid = end.header.tgid;
  if (pairing_ != nullptr) pairing_->SetCall(call, true);
  const bool reset = end.reason == SPANTAP_END_RESET || end.error != 0;
  switch (end.reason) {
    case SPANTAP_END_EOF:
      EndDirection(kIn, end.read_position, false);
      return false;
    case SPANTAP_END_SHUTDOWN:
      EndDirection(kOut, end.write_position, false);
      return false;
    case SPANTAP_END_RESET:
      EndDirection(kIn, end.read_position, true);
      EndDirection(kOut, end.write_position, true);
      return false;
    case SPANTAP_END_CLOSED:
      // Bytes not read before the close are the peer's message cut short; ours went out.
      EndDirection(kIn, end.read_position, true);
      EndDirection(kOut, end.write_position, reset);
      // Asked after the answers had ended.
      if (pairing_ != nullptr) pairing_->ResponsesEnded(end.header.mono_ns);
      return true;
    default:
      return false;
  }
}

void Connection::EndDirection(Direction direction, uint64_t position, bool reset) {
  Stream& stream = streams_[direction];
  if (stream.ended()) return;
  stream.End(position, reset);
  if (pairing_ == nullptr) return;
  const uint64_t now_ns = pairing_->call().mono_ns;
  if (direction != ResponseDirection()) {
    request_ended_ns_ = now_ns;
    return;
  }
  // A server that writes nothing after its client left has failed when the client left.
  const bool left = role_ == Role::kServer && request_ended_ns_ != 0;
  pairing_->ResponsesEnded(left ? request_ended_ns_ : now_ns);
}

void Connection::OnExit(uint64_t mono_ns) {
  spantap_end_event end = {};
  end.header.mono_ns = mono_ns;
  end.header.tgid = tgid_;
  end.reason = SPANTAP_END_CLOSED;
  end.read_position = streams_[kIn].expected();
  end.write_position = streams_[kOut].expected();
  OnEnd(end);
}

void Connection::Abandon(uint64_t mono_ns) {
  if (pairing_ != nullptr) pairing_->Abandon(mono_ns);
}

void Connection::BecomeOpaque(uint64_t mono_ns) {
  Abandon(mono_ns);
  state_ = State::kOpaque;
  ++env_.counters.opaque;
  env_.sink.OnForeign(tgid_, endpoint_, opener_);
  pairing_.reset();
  held_.clear();
  for (Stream& stream : streams_) stream.SetParser(nullptr);
  order_ = {kForever, kForever};
  order_fn_(endpoint_.conn_id, order_);
}

// ---------------------------------------------------------------- orders

// While the pairing is unsure, a body length may be that of something that only looked like a head.
void Connection::GiveOrder() {
  if (!pairing_->Sure()) return;
  bool changed = false;
  for (const Direction direction : {kIn, kOut}) {
    const Stream& stream = streams_[direction];
    __u64& until = direction == kIn ? order_.mute_read_until : order_.mute_write_until;
    const uint64_t boring = stream.parser()->BoringUntil();
    if (boring <= until || boring <= stream.expected()) continue;
    if (boring - stream.expected() < env_.settings.order_min_bytes) continue;
    until = boring;
    changed = true;
  }
  if (changed) order_fn_(endpoint_.conn_id, order_);
}

bool Connection::EndHidden() const {
  uint64_t ignored = 0;
  return pairing_ != nullptr && streams_[ResponseDirection()].parser()->EndHidden(&ignored);
}

void Connection::OnQuiet() {
  if (pairing_ != nullptr) pairing_->EndHiddenResponse();
}

}  // namespace spantap
