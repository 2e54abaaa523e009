// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a segment: one file header, then records (a header of 48 bytes and a batch each, padded to 8).
// README.md of this folder has the layout byte by byte. Used by the scan and by the spool.
//
// Every record begins with the segment's mark, 64 random bits: what a batch contains cannot pose as a record, and a
// reader that lost its way finds the next one. The state word lies outside of the checksums, is set in place, and is
// read by majority of its bits, so that no single flipped bit changes it.
//
// Pure; any thread; no allocation but for the strings returned.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

constexpr uint32_t kSegmentVersion = 1;
constexpr size_t kSegmentHeaderBytes = 40;
constexpr size_t kRecordHeaderBytes = 48;
constexpr size_t kRecordAlign = 8;
constexpr size_t kStateOffset = 40;               // in a record
constexpr uint64_t kStateDone = ~uint64_t{0};     // pending is 0
constexpr uint32_t kMaxBodyBytes = 64 << 20;      // no batch is larger; a claim of more is a lie
constexpr uint64_t kMaxSegmentBytes = 256 << 20;  // of a file; what lies behind is never looked at

struct SegmentHeader {
  uint32_t version = kSegmentVersion;
  uint64_t created_wall_ns = 0;
  uint64_t mark = 0;
};

enum class HeaderState : uint8_t {
  kGood,
  kNewer,    // a whole header of a version that this program does not know
  kDamaged,  // short, or not a segment's header
};

std::string EncodeSegmentHeader(const SegmentHeader& header);
HeaderState DecodeSegmentHeader(absl::string_view untrusted_bytes, SegmentHeader* ret);

struct RecordHeader {
  uint64_t mark = 0;
  uint32_t body_bytes = 0;
  uint32_t spans = 0;
  uint64_t wall_ns = 0;
  uint64_t check = 0;       // of the fields above
  uint64_t body_check = 0;  // of the body, seeded with `check`: hence of both
  bool done = false;
};

// The header of a pending record that holds `body`; at most kMaxBodyBytes.
std::string EncodeRecordHeader(uint64_t mark, uint64_t wall_ns, uint32_t spans, absl::string_view body);
// nullopt: fewer than 48 bytes, or the first 32 are not what was written, or they claim an impossible length. A value:
// the length can be trusted, whatever the body is.
std::optional<RecordHeader> DecodeRecordHeader(absl::string_view untrusted_bytes);
// Quick, before the above: could a record of that segment begin here? Reads 8 bytes.
bool StartsWithMark(const char* untrusted_bytes, uint64_t mark);
bool BodyMatches(const RecordHeader& header, absl::string_view untrusted_body);

// What a body of that length takes in the file, header and padding included.
constexpr uint64_t RecordBytes(uint64_t body_bytes) {
  return kRecordHeaderBytes + (body_bytes + kRecordAlign - 1) / kRecordAlign * kRecordAlign;
}

}  // namespace spantap
