// SPDX-License-Identifier: Apache-2.0
//
// One direction of a connection: pieces at byte positions in, bytes and explicit gaps out.
//
// A piece at the expected position continues the stream. A higher position is a gap before it; bytes
// behind a piece's copied ones are a gap inside it; a lower position is a duplicate and is ignored.
// Used by Connection. Event thread. Memory: none besides the parser's.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/string_view.h"
#include "agent/protocols/parser.h"

namespace spantap {

struct Piece {
  uint64_t position = 0;
  uint64_t bytes = 0;        // true length
  absl::string_view copied;  // at most `bytes` of them
  bool call_start = false;
  bool call_end = false;
  uint32_t tid = 0;  // of the calling thread
  uint64_t mono_ns = 0;
};

class Stream {
 public:
  // The position of the next byte is known (open record). `from_start`: it is the stream's first.
  void Expect(uint64_t position, bool from_start);
  void SetParser(std::unique_ptr<Parser> parser) { parser_ = std::move(parser); }
  Parser* parser() { return parser_.get(); }
  const Parser* parser() const { return parser_.get(); }

  // Passes the piece on; without a parser only the position moves. Returns duplicate bytes.
  uint64_t Take(Piece piece);
  // The direction ended at `position`, in order or not. Idempotent.
  void End(uint64_t position, bool reset);

  bool ended() const { return ended_; }
  // Nothing of the stream has been missed so far, and `position` continues it.
  bool whole() const { return whole_; }
  // Whole calls were missed before there was a parser to tell of it.
  bool missed_calls() const { return missed_calls_; }
  bool ContinuesFromStart(uint64_t position) const { return whole_ && position == expected_; }
  uint64_t expected() const { return expected_; }

 private:
  void Gap(uint64_t count, bool within_call);
  bool ContinuesCall(const Piece& piece) const;

  std::unique_ptr<Parser> parser_;
  uint64_t expected_ = 0;  // position of the next byte
  bool known_ = false;     // expected_ is set
  bool whole_ = false;
  bool missed_calls_ = false;
  bool ended_ = false;
  // The call whose last byte has not been seen.
  bool call_open_ = false;
  uint32_t call_tid_ = 0;
  uint64_t call_ns_ = 0;
};

}  // namespace spantap
