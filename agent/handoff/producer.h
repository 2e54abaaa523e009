// SPDX-License-Identifier: Apache-2.0
//
// One attached producer: its connection, its ring, and how far it is read.
//
// Used by handoff.cc; its thread. Memory: the ring, and for a turn the spans taken.
//
//   attached ──(connection or process ends)──► ended ──(ring empty)──► gone
//       └──────────(ring or connection is not what the contract says)──► lied: gone at once
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/handoff/admission.h"
#include "base/unique_fd.h"
#include "exporter/intake/ring_intake.h"

namespace spantap {

class Producer final : public RingIntake {
 public:
  Producer(const Peer& peer, UniqueFd connection, UniqueFd process, RingMemory memory,
           std::shared_ptr<const Resource> resource);

  // RingIntake's, counting what is left to be read once the peer has gone.
  RingReader::Turn Take(size_t max_records, RecordDecoder& decoder, std::vector<char>& scratch,
                        std::vector<Span>* spans, std::vector<SpanConnection>* connections = nullptr);

  // The peer has gone. Its ring is read once around at most: somebody else may hold the memory and write on.
  void End();
  bool ended() const { return ended_; }
  // When its first span was taken; 0: none was.
  uint64_t first_span_ns() const { return first_span_ns_; }
  void NoteSpans(uint64_t now_ns) {
    if (first_span_ns_ == 0) first_span_ns_ = now_ns;
  }
  // After a turn: nothing more is to be read.
  bool Drained(const RingReader::Turn& turn) const { return turn.left == 0 || (ended_ && end_bytes_ == 0); }

  const Peer& peer() const { return peer_; }
  int connection() const { return connection_.get(); }
  int process() const { return process_.get(); }

 private:
  const Peer peer_;
  UniqueFd connection_;
  UniqueFd process_;  // pidfd, or invalid
  bool ended_ = false;
  uint64_t first_span_ns_ = 0;
  uint64_t end_bytes_ = 0;  // that may still be read after the end
};

}  // namespace spantap
