// SPDX-License-Identifier: Apache-2.0
//
// Segments as bytes: headers, and the scan over everything that can happen to a file.
#include <catch2/catch.hpp>
#include <cstring>

#include "exporter/spool/segment_scan.h"
#include "tests/exporter/spool/spool_test.h"

namespace spantap {
namespace {

constexpr uint64_t kMark = 0x1122334455667788;

class MemoryBytes : public ByteSource {
 public:
  explicit MemoryBytes(absl::string_view bytes, uint64_t claimed = 0) : bytes_(bytes), size_(claimed) {}
  uint64_t size() const override { return size_ ? size_ : bytes_.size(); }
  bool Read(uint64_t offset, size_t bytes, std::string* ret) override {
    largest = std::max(largest, bytes);
    if (offset > bytes_.size() || bytes > bytes_.size() - offset) return false;
    ret->assign(bytes_.data() + offset, bytes);
    return true;
  }
  size_t largest = 0;

 private:
  absl::string_view bytes_;
  uint64_t size_;
};

std::string Record(absl::string_view body, uint32_t spans, uint64_t mark = kMark) {
  std::string bytes = EncodeRecordHeader(mark, 1000, spans, body);
  absl::StrAppend(&bytes, body);
  bytes.resize(RecordBytes(body.size()));
  return bytes;
}

std::string SegmentOf(int batches) {
  std::string bytes = EncodeSegmentHeader({kSegmentVersion, 1000, kMark});
  for (int i = 0; i < batches; ++i) bytes += Record(Request(i, i % 3 + 1), static_cast<uint32_t>(i % 3 + 1));
  return bytes;
}

SegmentScan Scan(absl::string_view bytes) {
  MemoryBytes source(bytes);
  return ScanSegment(source);
}

std::vector<int> Ready(absl::string_view bytes, const SegmentScan& scan) {
  std::vector<int> numbers;
  for (const SegmentRecord& r : scan.records) {
    if (r.state != SegmentRecord::kReady) continue;
    numbers.push_back(Number(bytes.substr(r.offset + kRecordHeaderBytes, r.body_bytes)));
  }
  return numbers;
}

}  // namespace

TEST_CASE("segment: what is written is read, and the layout stays", "[spool]") {
  const std::string header = EncodeSegmentHeader({kSegmentVersion, 0x0102030405060708, kMark});
  REQUIRE(header.size() == kSegmentHeaderBytes);
  // The format is an interface to other versions of this program.
  REQUIRE(header.substr(0, 16) == absl::string_view("SPTAPSEG\1\0\0\0\0\0\0\0", 16));
  REQUIRE(header.substr(16, 16) ==
          absl::string_view("\x08\x07\x06\x05\x04\x03\x02\x01\x88\x77\x66\x55\x44\x33\x22\x11", 16));
  const std::string record = Record("body", 3);
  REQUIRE(record.size() == 56);
  REQUIRE(record.substr(8, 8) == absl::string_view("\4\0\0\0\3\0\0\0", 8));
  REQUIRE(record.substr(52) == absl::string_view("\0\0\0\0", 4));
  const auto read = DecodeRecordHeader(record);
  REQUIRE(read.has_value());
  REQUIRE((read->body_bytes == 4 && read->spans == 3 && read->wall_ns == 1000 && read->mark == kMark && !read->done));
  REQUIRE(BodyMatches(*read, "body"));
  REQUIRE_FALSE(BodyMatches(*read, "bodz"));
  REQUIRE_FALSE(BodyMatches(*read, "bod"));
}

TEST_CASE("segment: no single bit changes the state word's meaning", "[spool]") {
  for (const bool done : {false, true}) {
    for (int bit = 0; bit < 64; ++bit) {
      std::string record = Record("body", 1);
      if (done) record.replace(kStateOffset, 8, 8, '\xff');
      record[kStateOffset + bit / 8] ^= static_cast<char>(1 << bit % 8);
      REQUIRE(DecodeRecordHeader(record)->done == done);
    }
  }
}

TEST_CASE("segment: a body of impossible length is no header", "[spool]") {
  // Sealed with its own checksum: only the bound can refuse it.
  const std::string body(kMaxBodyBytes + 1, 'x');
  REQUIRE_FALSE(DecodeRecordHeader(EncodeRecordHeader(kMark, 0, 1, body)).has_value());
  REQUIRE(DecodeRecordHeader(EncodeRecordHeader(kMark, 0, 1, absl::string_view(body).substr(1))).has_value());
}

TEST_CASE("scan: intact", "[spool]") {
  const std::string bytes = SegmentOf(4);
  const SegmentScan scan = Scan(bytes);
  REQUIRE(Ready(bytes, scan) == std::vector<int>{0, 1, 2, 3});
  REQUIRE((!scan.torn && scan.damaged == 0 && !scan.newer && scan.end == bytes.size() && scan.mark == kMark));
  REQUIRE(scan.records[2].spans == 3);
}

TEST_CASE("scan: cut at every byte keeps what is whole and finds the place to cut", "[spool]") {
  const std::string bytes = SegmentOf(4);
  const SegmentScan whole = Scan(bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const SegmentScan scan = Scan(absl::string_view(bytes).substr(0, size));
    std::vector<int> expected;
    bool at_border = size == kSegmentHeaderBytes;
    for (const SegmentRecord& r : whole.records) {
      const uint64_t body_end = r.offset + kRecordHeaderBytes + r.body_bytes;
      if (body_end <= size) expected.push_back(static_cast<int>(expected.size()));
      // Padding may be missing: nothing is lost with it.
      at_border = at_border || (size >= body_end && size <= r.offset + RecordBytes(r.body_bytes));
    }
    INFO("size " << size);
    REQUIRE(Ready(bytes, scan) == expected);
    REQUIRE(scan.damaged == 0);
    REQUIRE(scan.torn == !at_border);
    REQUIRE(scan.end <= size);
    REQUIRE(Ready(bytes, Scan(absl::string_view(bytes).substr(0, scan.end))) == expected);
  }
}

TEST_CASE("scan: every flipped bit costs at most the batch it lies in", "[spool]") {
  const std::string good = SegmentOf(4);
  const SegmentScan whole = Scan(good);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    std::vector<int> expected;
    bool harmless = false;  // the state word or padding
    for (size_t i = 0; i < whole.records.size(); ++i) {
      const SegmentRecord& r = whole.records[i];
      const size_t at = bit / 8 - r.offset;
      const bool here = bit / 8 >= r.offset && at < RecordBytes(r.body_bytes);
      const bool spared =
          here && ((at >= kStateOffset && at < kRecordHeaderBytes) || at >= kRecordHeaderBytes + r.body_bytes);
      if (!here || spared) expected.push_back(static_cast<int>(i));
      harmless = harmless || spared;
    }
    const SegmentScan scan = Scan(bytes);
    INFO("bit " << bit);
    REQUIRE(Ready(bytes, scan) == expected);
    REQUIRE((scan.damaged > 0 || scan.newer) == !harmless);
  }
}

TEST_CASE("scan: done records stay done, whatever their body is", "[spool]") {
  std::string bytes = SegmentOf(3);
  const SegmentRecord second = Scan(bytes).records[1];
  bytes.replace(second.offset + kStateOffset, 8, 8, '\xff');
  bytes[second.offset + kRecordHeaderBytes] ^= 1;
  const SegmentScan scan = Scan(bytes);
  REQUIRE(Ready(bytes, scan) == std::vector<int>{0, 2});
  REQUIRE(scan.records[1].state == SegmentRecord::kGone);
  REQUIRE(scan.damaged == 0);
}

TEST_CASE("scan: a record inside a batch is no record", "[spool]") {
  // A captured request may carry anything, aligned as it likes; it cannot know the mark.
  const std::string forged = Record(Request(666), 1, 0x4242424242424242);
  const std::string body = Request(1) + std::string("\x12") + static_cast<char>(forged.size()) + forged;
  for (size_t shift = 0; shift < 8; ++shift) {
    std::string bytes = EncodeSegmentHeader({kSegmentVersion, 1000, kMark});
    std::string filled(shift, 'x');
    bytes += Record(filled + body, 1) + Record(Request(2), 1);
    bytes[kSegmentHeaderBytes + 8] ^= 1;  // the length of the outer record
    REQUIRE(Ready(bytes, Scan(bytes)) == std::vector<int>{2});
  }
}

TEST_CASE("scan: span counts that are not true make a batch unusable", "[spool]") {
  std::string bytes = EncodeSegmentHeader({kSegmentVersion, 1000, kMark});
  bytes += Record(Request(0, 2), 3) + Record(Request(1, 2), 0) + Record("no request", 1) + Record("", 0) +
           Record(Request(4, 2), 2);
  const SegmentScan scan = Scan(bytes);
  REQUIRE(Ready(bytes, scan) == std::vector<int>{4});
  REQUIRE(scan.damaged == 4);
}

TEST_CASE("scan: a tail of zeros is an interrupted write, of anything else damage", "[spool]") {
  const std::string good = SegmentOf(2);
  for (const size_t extra : {1, 47, 48, 5000, 200000}) {
    const SegmentScan zeros = Scan(good + std::string(extra, '\0'));
    REQUIRE((zeros.torn && zeros.damaged == 0 && zeros.end == good.size() && zeros.records.size() == 2));
    const SegmentScan other = Scan(good + std::string(extra, 'x'));
    REQUIRE((other.torn == (extra < kRecordHeaderBytes) && other.records.size() == 2));
    REQUIRE(other.damaged == (extra < kRecordHeaderBytes ? 0u : 1u));
  }
}

TEST_CASE("scan: damage of every length up to a lost middle", "[spool]") {
  const std::string good = SegmentOf(8);
  const SegmentScan whole = Scan(good);
  const size_t begin = whole.records[3].offset;
  for (size_t bytes_lost = 1; bytes_lost < whole.records[6].offset - begin; ++bytes_lost) {
    std::string bytes = good;
    bytes.replace(begin, bytes_lost, bytes_lost, '\xaa');
    std::vector<int> expected{0, 1, 2};
    for (int i = 4; i < 8; ++i) {
      if (whole.records[static_cast<size_t>(i)].offset >= begin + bytes_lost) expected.push_back(i);
    }
    REQUIRE(Ready(bytes, Scan(bytes)) == expected);
  }
}

TEST_CASE("scan: newer versions and other files", "[spool]") {
  const std::string newer = EncodeSegmentHeader({kSegmentVersion + 1, 1000, kMark}) + "whatever they write there";
  REQUIRE(Scan(newer).newer);
  const std::string older = EncodeSegmentHeader({0, 1000, kMark});
  REQUIRE((!Scan(older).newer && Scan(older).damaged == 1));
  const std::string garbage(100000, 'g');
  REQUIRE((Scan(garbage).damaged == 1 && Scan(garbage).records.empty() && Scan(garbage).end == garbage.size()));
}

TEST_CASE("scan: sizes that are lies are never believed", "[spool]") {
  const std::string bytes = SegmentOf(2);
  MemoryBytes source(bytes, uint64_t{1} << 50);  // the file says it has a petabyte, and cannot be read
  const SegmentScan scan = ScanSegment(source);
  REQUIRE((scan.records.size() == 2 && scan.damaged >= 1 && !scan.torn));
  REQUIRE(source.largest <= 64 << 10);
  const std::string claim = EncodeRecordHeader(kMark, 0, 1, std::string(kMaxBodyBytes, 'x'));
  const std::string all = bytes + claim + "but there is not more";
  MemoryBytes short_of_it(all);
  const SegmentScan torn = ScanSegment(short_of_it);
  REQUIRE((torn.torn && torn.end == bytes.size() && torn.records.size() == 2));
  REQUIRE(short_of_it.largest <= 64 << 10);
}

}  // namespace spantap
