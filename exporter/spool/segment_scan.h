// SPDX-License-Identifier: Apache-2.0
//
// What a segment file holds, whatever its bytes are: the records that can be sent, where a torn tail begins, what is
// damaged. The spool runs it over each file it finds, the fuzzer over any bytes.
//
// Total and linear in the bytes. Memory: one batch (kMaxBodyBytes, and never more than the file has), and 24 bytes a
// record (at most kMaxRecords).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "exporter/spool/segment.h"

namespace spantap {

// More records are never written to one segment.
constexpr size_t kMaxRecords = 1 << 16;

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  // Exactly those bytes, all below size(); false: they cannot be read.
  virtual bool Read(uint64_t offset, size_t bytes, std::string* ret) = 0;
};

struct SegmentRecord {
  enum State : uint8_t { kReady, kTaken, kGone };  // gone: settled or lost, its bytes are still in the file
  uint64_t wall_ns = 0;
  uint32_t offset = 0;
  uint32_t body_bytes = 0;
  uint32_t spans = 0;
  State state = kReady;
};

struct SegmentScan {
  bool newer = false;  // nothing else is set then
  uint64_t mark = 0;
  std::vector<SegmentRecord> records;  // intact, in file order; those done are kGone
  uint64_t end = 0;                    // of what was completely written; smaller than the size: cut the file here
  bool torn = false;                   // a write was interrupted behind `end`
  uint32_t damaged = 0;                // stretches of bytes, or batches, that are not what was written
};

SegmentScan ScanSegment(ByteSource& untrusted_source);

}  // namespace spantap
