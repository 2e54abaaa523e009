// SPDX-License-Identifier: Apache-2.0
#include "exporter/spool/segment.h"

#include <bit>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace spantap {
namespace {

constexpr char kMagic[8] = {'S', 'P', 'T', 'A', 'P', 'S', 'E', 'G'};
constexpr size_t kSegmentCheckOffset = 32;
constexpr size_t kRecordCheckOffset = 24;
constexpr size_t kBodyCheckOffset = 32;

// Little-endian on every machine.
void Put(uint64_t value, size_t bytes, std::string* out) {
  for (size_t i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t Get(absl::string_view bytes, size_t offset, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[offset + i])) << (8 * i);
  }
  return value;
}

uint64_t Check(absl::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string bytes(kMagic, sizeof(kMagic));
  bytes.reserve(kSegmentHeaderBytes);
  Put(header.version, 4, &bytes);
  Put(0, 4, &bytes);
  Put(header.created_wall_ns, 8, &bytes);
  Put(header.mark, 8, &bytes);
  Put(Check(bytes, 0), 8, &bytes);
  return bytes;
}

HeaderState DecodeSegmentHeader(absl::string_view untrusted_bytes, SegmentHeader* ret) {
  if (untrusted_bytes.size() < kSegmentHeaderBytes) return HeaderState::kDamaged;
  if (std::memcmp(untrusted_bytes.data(), kMagic, sizeof(kMagic)) != 0) return HeaderState::kDamaged;
  if (Check(untrusted_bytes.substr(0, kSegmentCheckOffset), 0) != Get(untrusted_bytes, kSegmentCheckOffset, 8)) {
    return HeaderState::kDamaged;
  }
  ret->version = static_cast<uint32_t>(Get(untrusted_bytes, 8, 4));
  ret->created_wall_ns = Get(untrusted_bytes, 16, 8);
  ret->mark = Get(untrusted_bytes, 24, 8);
  if (ret->version > kSegmentVersion) return HeaderState::kNewer;
  return ret->version == kSegmentVersion ? HeaderState::kGood : HeaderState::kDamaged;
}

std::string EncodeRecordHeader(uint64_t mark, uint64_t wall_ns, uint32_t spans, absl::string_view body) {
  std::string bytes;
  bytes.reserve(kRecordHeaderBytes);
  Put(mark, 8, &bytes);
  Put(body.size(), 4, &bytes);
  Put(spans, 4, &bytes);
  Put(wall_ns, 8, &bytes);
  const uint64_t check = Check(bytes, 0);
  Put(check, 8, &bytes);
  Put(Check(body, check), 8, &bytes);
  Put(0, 8, &bytes);
  return bytes;
}

std::optional<RecordHeader> DecodeRecordHeader(absl::string_view untrusted_bytes) {
  if (untrusted_bytes.size() < kRecordHeaderBytes) return std::nullopt;
  RecordHeader header;
  header.check = Get(untrusted_bytes, kRecordCheckOffset, 8);
  if (Check(untrusted_bytes.substr(0, kRecordCheckOffset), 0) != header.check) return std::nullopt;
  header.mark = Get(untrusted_bytes, 0, 8);
  header.body_bytes = static_cast<uint32_t>(Get(untrusted_bytes, 8, 4));
  header.spans = static_cast<uint32_t>(Get(untrusted_bytes, 12, 4));
  header.wall_ns = Get(untrusted_bytes, 16, 8);
  header.body_check = Get(untrusted_bytes, kBodyCheckOffset, 8);
  header.done = std::popcount(Get(untrusted_bytes, kStateOffset, 8)) > 32;
  if (header.body_bytes > kMaxBodyBytes) return std::nullopt;
  return header;
}

bool StartsWithMark(const char* untrusted_bytes, uint64_t mark) {
  return Get(absl::string_view(untrusted_bytes, sizeof(mark)), 0, sizeof(mark)) == mark;
}

bool BodyMatches(const RecordHeader& header, absl::string_view untrusted_body) {
  return untrusted_body.size() == header.body_bytes && Check(untrusted_body, header.check) == header.body_check;
}

}  // namespace spantap
