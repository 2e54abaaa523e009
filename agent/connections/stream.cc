// SPDX-License-Identifier: Apache-2.0
#include "agent/connections/stream.h"

#include <algorithm>

namespace spantap {
namespace {

// The pieces of one call are made at once; later ones are of another call.
constexpr uint64_t kOneCallNs = 10'000'000;

}  // namespace

void Stream::Expect(uint64_t position, bool from_start) {
  if (known_) return;
  known_ = true;
  whole_ = from_start;
  expected_ = position;
}

void Stream::Gap(uint64_t count, bool within_call) {
  whole_ = false;
  const uint64_t position = expected_;
  expected_ += count;
  if (parser_ == nullptr) {
    missed_calls_ |= !within_call;
  } else if (!ended_) {
    parser_->Skip(position, count, within_call);
  }
}

// The call's first bytes were seen, and this piece is of the same call: nothing between them was lost.
bool Stream::ContinuesCall(const Piece& piece) const {
  return call_open_ && !piece.call_start && piece.tid == call_tid_ && piece.mono_ns - call_ns_ <= kOneCallNs;
}

uint64_t Stream::Take(Piece piece) {
  Expect(piece.position, false);
  // Positions are compared as differences, so that nothing special happens at their wrap-around.
  const auto ahead = static_cast<int64_t>(piece.position - expected_);
  const bool continues_call = ContinuesCall(piece);
  uint64_t duplicate = 0;
  if (ahead > 0) {
    Gap(static_cast<uint64_t>(ahead), continues_call);
  } else if (ahead < 0) {
    duplicate = std::min(piece.bytes, uint64_t{0} - static_cast<uint64_t>(ahead));
    piece.position += duplicate;
    piece.bytes -= duplicate;
    piece.copied.remove_prefix(std::min<uint64_t>(duplicate, piece.copied.size()));
    piece.call_start = false;
    if (piece.bytes == 0) return duplicate;
  }
  piece.copied = piece.copied.substr(0, piece.bytes);
  const uint64_t missing = piece.bytes - piece.copied.size();
  const PieceInfo info{piece.position, piece.call_start, piece.call_end && missing == 0};
  expected_ = piece.position + piece.copied.size();
  if (parser_ != nullptr && !ended_ && !piece.copied.empty()) parser_->Feed(info, piece.copied);
  if (missing > 0) Gap(missing, continues_call || (piece.call_start && !piece.copied.empty()));
  call_open_ = !piece.call_end && (continues_call || piece.call_start);
  call_tid_ = piece.tid;
  call_ns_ = piece.mono_ns;
  return duplicate;
}

void Stream::End(uint64_t position, bool reset) {
  if (ended_) return;
  if (known_ && static_cast<int64_t>(position - expected_) > 0) Gap(position - expected_, false);
  ended_ = true;
  if (parser_ != nullptr) parser_->End(reset);
}

}  // namespace spantap
