// SPDX-License-Identifier: Apache-2.0
//
// What is on disk, in memory: the segments in order of age and the state of each of their records. No I/O; the spool
// does first on disk what it then tells the backlog. One thread (the spool's lock). Memory: 24 bytes a record, some 100
// a segment; the spool keeps both bounded.
//
//   kReady --Take--> kTaken --Settle--> kGone      (kReady --Settle--> kGone: lost to a limit or to damage)
//      ^---PutBack-----'
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "exporter/spool/segment_scan.h"

namespace spantap {

struct Segment {
  uint64_t name = 0;
  uint64_t mark = 0;
  uint64_t bytes = 0;     // of the file
  uint64_t first_id = 0;  // of its first record; the others follow
  std::vector<SegmentRecord> records;
  size_t first_ready = 0;  // none before it is ready
  size_t open = 0;         // ready or taken
  size_t taken = 0;
  uint64_t spans = 0;    // of those open
  bool damaged = false;  // moved aside instead of deleted
};

class Backlog {
 public:
  struct Place {
    Segment* segment = nullptr;
    SegmentRecord* record = nullptr;
    explicit operator bool() const { return record != nullptr; }
    uint64_t id() const { return segment->first_id + static_cast<uint64_t>(record - segment->records.data()); }
  };

  // Segments are added in the order of their names. Pointers last until the next Add or Remove.
  Segment& Add(Segment segment);  // counts its records; first_id, open, taken and spans are set here
  void AddRecord(Segment& newest, const SegmentRecord& record, uint64_t file_bytes);
  void Remove(const Segment& segment);

  Place FirstReady();
  Place Find(uint64_t id);  // of a record that is ready or taken
  void Take(Place place);
  void PutBack(Place place);
  void Settle(Place place);

  std::deque<Segment>& segments() { return segments_; }
  const std::deque<Segment>& segments() const { return segments_; }
  uint64_t batches() const { return batches_; }
  uint64_t spans() const { return spans_; }
  uint64_t bytes() const { return bytes_; }

 private:
  std::deque<Segment> segments_;
  uint64_t next_id_ = 1;
  uint64_t batches_ = 0;
  uint64_t spans_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace spantap
