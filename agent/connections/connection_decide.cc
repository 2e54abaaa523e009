// SPDX-License-Identifier: Apache-2.0
//
// The first bytes of a connection: which protocol, and which end of it this process is.
#include <algorithm>
#include <utility>

#include "agent/connections/connection.h"

namespace spantap {
namespace {

constexpr size_t kMaxHeldBytes = 256;   // no verdict needs more than a method and a scheme
constexpr size_t kMaxHeldPieces = 128;  // of both directions; at worst one byte each
// A connection joined in the middle of a transfer shows no head for a while. One that has shown none
// for this long is something else.
constexpr uint32_t kJoinPatience = 4096;

}  // namespace

void Connection::Decide(Direction direction, const CallStamp& call, const Piece& piece) {
  Stream& stream = streams_[direction];
  std::string first = HeldBytes(direction);
  const bool held = !first.empty();
  if (held && piece.position != HeldEnd(direction)) {
    DropHeld(direction);
    return Decide(direction, call, piece);
  }
  const bool from_start = stream.ContinuesFromStart(held ? HeldBegin(direction) : piece.position);
  const bool judge = from_start || piece.call_start;
  first.append(piece.copied.data(), std::min<size_t>(piece.copied.size(), kMaxHeldBytes));
  if (judge && ForeignProtocol(first) != nullptr) return BecomeOpaque(call.mono_ns);

  Verdict verdict = Verdict::kNo;
  const WireProtocol* protocol = judge ? InferProtocol(first, !from_start, &verdict) : nullptr;
  if (protocol != nullptr) {
    const bool read_request = (verdict == Verdict::kRequest) == (direction == kIn);
    return Become(*protocol, read_request ? Role::kServer : Role::kClient, direction, call, piece);
  }
  if (verdict == Verdict::kNeedMore && Hold(direction, call, piece)) return;
  stream.Take(piece);
  const bool other = from_start && !piece.copied.empty();
  if (other || ++undecided_pieces_ > kJoinPatience) BecomeOpaque(call.mono_ns);
}

bool Connection::Hold(Direction direction, const CallStamp& call, const Piece& piece) {
  if (piece.copied.size() != piece.bytes || held_.size() >= kMaxHeldPieces) return false;
  if (HeldBytes(direction).size() + piece.bytes > kMaxHeldBytes) return false;
  held_.push_back({direction, call, piece, std::string(piece.copied.data(), piece.copied.size())});
  return true;
}

std::string Connection::HeldBytes(Direction direction) const {
  std::string bytes;
  for (const Held& held : held_) {
    if (held.direction == direction) bytes += held.bytes;
  }
  return bytes;
}

uint64_t Connection::HeldBegin(Direction direction) const {
  return std::find_if(held_.begin(), held_.end(), [&](const Held& h) { return h.direction == direction; })
      ->piece.position;
}

uint64_t Connection::HeldEnd(Direction direction) const { return HeldBegin(direction) + HeldBytes(direction).size(); }

// They were no head, but their positions count.
void Connection::DropHeld(Direction direction) {
  std::vector<Held> others;
  for (Held& held : held_) {
    if (held.direction != direction) {
      others.push_back(std::move(held));
      continue;
    }
    held.piece.copied = held.bytes;
    streams_[direction].Take(held.piece);
  }
  held_ = std::move(others);
}

void Connection::Become(const WireProtocol& protocol, Role role, Direction direction, const CallStamp& call,
                        const Piece& piece) {
  state_ = State::kPaired;
  role_ = role;
  const bool lost = streams_[kIn].missed_calls() || streams_[kOut].missed_calls();
  if (lost) ++env_.counters.gaps_lost;
  const bool whole = streams_[kIn].whole() && streams_[kOut].whole();
  const Pairing::Start start = !opened_ || lost ? Pairing::Start::kUnknown
                               : whole          ? Pairing::Start::kWhole
                                                : Pairing::Start::kJoined;
  pairing_ = std::make_unique<Pairing>(env_, endpoint_, role, start);
  if (dial_.has_value()) pairing_->SetDial(*dial_, dial_tgid_);
  for (const Direction d : {kIn, kOut}) {
    const bool requests = IsRequest(d);
    ParserSink& sink = requests ? pairing_->requests() : pairing_->responses();
    streams_[d].SetParser(protocol.make(requests, !streams_[d].whole(), sink, *pairing_));
  }
  pairing_->SetResponseParser(streams_[ResponseDirection()].parser());
  std::vector<Held> held = std::move(held_);
  held_.clear();
  for (Held& h : held) {
    h.piece.copied = h.bytes;
    if (state_ == State::kPaired) Take(h.direction, h.call, h.piece);
  }
  if (state_ == State::kPaired) Take(direction, call, piece);
}

}  // namespace spantap
