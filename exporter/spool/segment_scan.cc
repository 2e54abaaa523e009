// SPDX-License-Identifier: Apache-2.0
#include "exporter/spool/segment_scan.h"

#include <algorithm>

#include "exporter/otlp/request_wire.h"

namespace spantap {
namespace {

// A search looks at little first, so that many short stretches of damage cost no more than the bytes they take.
constexpr size_t kFirstSearchBytes = 512;
constexpr size_t kMaxSearchBytes = 64 << 10;

class Scanner {
 public:
  explicit Scanner(ByteSource& source) : source_(source), size_(std::min(source.size(), kMaxSegmentBytes)) {}

  SegmentScan Run() {
    if (source_.size() < kSegmentHeaderBytes) {
      scan_.torn = true;
      return std::move(scan_);
    }
    if (!ReadSegmentHeader()) return std::move(scan_);
    offset_ = kSegmentHeaderBytes;
    while (offset_ < size_ && Step()) {
    }
    if (!scan_.torn) scan_.end = source_.size();
    if (source_.size() > kMaxSegmentBytes) Damaged();
    return std::move(scan_);
  }

 private:
  void Damaged() { ++scan_.damaged; }

  // False: nothing behind it can be used.
  bool ReadSegmentHeader() {
    SegmentHeader header;
    HeaderState state = HeaderState::kDamaged;
    if (source_.Read(0, kSegmentHeaderBytes, &buffer_)) state = DecodeSegmentHeader(buffer_, &header);
    scan_.newer = state == HeaderState::kNewer;
    scan_.mark = header.mark;
    if (state != HeaderState::kDamaged) return !scan_.newer;
    // The first record's place is fixed, so its mark can stand in for the lost one.
    Damaged();
    const auto first = ReadRecordHeader(kSegmentHeaderBytes);
    if (first.has_value()) scan_.mark = first->mark;
    if (!first.has_value()) scan_.end = source_.size();
    return first.has_value();
  }

  std::optional<RecordHeader> ReadRecordHeader(uint64_t offset) {
    if (size_ - offset < kRecordHeaderBytes || !source_.Read(offset, kRecordHeaderBytes, &buffer_)) return std::nullopt;
    return DecodeRecordHeader(buffer_);
  }

  // One record, or the way to the next one. False: the end.
  bool Step() {
    scan_.end = offset_;
    if (size_ - offset_ < kRecordHeaderBytes) return Torn();
    const auto header = ReadRecordHeader(offset_);
    if (!header.has_value() || header->mark != scan_.mark) return Resynchronise();
    const uint64_t body = offset_ + kRecordHeaderBytes;
    if (header->body_bytes > size_ - body) return Torn();
    if (scan_.records.size() == kMaxRecords) {
      Damaged();
      return false;
    }
    if (header->done || Intact(*header, body)) {
      scan_.records.push_back({header->wall_ns, static_cast<uint32_t>(offset_), header->body_bytes, header->spans,
                               header->done ? SegmentRecord::kGone : SegmentRecord::kReady});
    } else {
      Damaged();
    }
    offset_ += RecordBytes(header->body_bytes);
    return true;
  }

  // The file ends inside a record. Behind the largest size nothing is known, so nothing is cut there.
  bool Torn() {
    if (source_.size() > kMaxSegmentBytes) return false;
    scan_.torn = true;
    return false;
  }

  bool Intact(const RecordHeader& header, uint64_t body) {
    if (header.spans == 0 || !source_.Read(body, header.body_bytes, &buffer_)) return false;
    return BodyMatches(header, buffer_) && CountSpans(buffer_) == header.spans;
  }

  // To the next place that begins a record of this segment. None: a tail of zeros is what a power cut leaves of a
  // write that was not complete; anything else is damage.
  bool Resynchronise() {
    bool zeros = true;
    size_t search = kFirstSearchBytes;
    for (uint64_t at = offset_; at < size_; search = std::min(2 * search, kMaxSearchBytes)) {
      const size_t bytes = std::min<uint64_t>(search, size_ - at);
      if (!source_.Read(at, bytes, &buffer_)) {
        Damaged();
        return false;
      }
      const absl::string_view window = buffer_;
      zeros = zeros && window.find_first_not_of('\0') == absl::string_view::npos;
      for (size_t i = at == offset_ ? kRecordAlign : 0; i + kRecordHeaderBytes <= window.size(); i += kRecordAlign) {
        if (!StartsWithMark(window.data() + i, scan_.mark)) continue;
        if (!DecodeRecordHeader(window.substr(i, kRecordHeaderBytes)).has_value()) continue;
        Damaged();
        offset_ = at + i;
        return true;
      }
      if (at + bytes == size_) break;
      at += bytes - kRecordHeaderBytes;  // windows overlap by a header, less than one step
    }
    if (zeros) return Torn();
    Damaged();
    return false;
  }

  ByteSource& source_;
  const uint64_t size_;
  uint64_t offset_ = 0;
  std::string buffer_;
  SegmentScan scan_;
};

}  // namespace

SegmentScan ScanSegment(ByteSource& untrusted_source) { return Scanner(untrusted_source).Run(); }

}  // namespace spantap
