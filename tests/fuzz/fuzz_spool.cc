// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: any bytes as a segment file. The scan stays inside, its records are true, and what it says is what
// the spool then sends: a part of the inputs goes through Spool::Open() as a file. Checksums would stop a blind
// mutation at the first byte, so most mutations are sealed again. Corpus: tests/data/fuzz_spool, real segment files.
#include <stdlib.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "absl/strings/str_cat.h"
#include "exporter/otlp/request_wire.h"
#include "exporter/spool/segment_scan.h"
#include "exporter/spool/spool.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace spantap {
namespace {

void Check(bool good) {
  if (!good) std::abort();
}

class MemoryBytes : public ByteSource {
 public:
  explicit MemoryBytes(absl::string_view bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  bool Read(uint64_t offset, size_t bytes, std::string* ret) override {
    Check(offset <= bytes_.size() && bytes <= bytes_.size() - offset);
    read_ += bytes;
    ret->assign(bytes_.data() + offset, bytes);
    return true;
  }
  uint64_t read() const { return read_; }

 private:
  absl::string_view bytes_;
  uint64_t read_ = 0;
};

uint64_t CheckScan(absl::string_view bytes, const SegmentScan& scan) {
  uint64_t spans = 0, behind = kSegmentHeaderBytes;
  Check(scan.end <= bytes.size() && (scan.torn || scan.newer || scan.end == bytes.size()));
  for (const SegmentRecord& record : scan.records) {
    Check(record.offset >= behind && record.offset % kRecordAlign == 0);
    behind = record.offset + kRecordHeaderBytes + record.body_bytes;
    Check(behind <= bytes.size() && behind <= scan.end);
    if (record.state == SegmentRecord::kGone) continue;
    const absl::string_view body = bytes.substr(record.offset + kRecordHeaderBytes, record.body_bytes);
    Check(record.spans > 0 && CountSpans(body) == record.spans);
    spans += record.spans;
  }
  return spans;
}

std::string MakeFolder() {
  const bool memory = std::filesystem::exists("/dev/shm");
  static std::string path =
      (memory ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/fuzz_spool_XXXXXX";
  Check(mkdtemp(path.data()) != nullptr);
  std::atexit([] { std::filesystem::remove_all(path); });
  return path;
}

// The file as the spool finds it: counted, sent, gone (or kept under another name), and nothing is left for the next.
void RunSpool(absl::string_view bytes, uint64_t spans) {
  static const std::string& root = *new std::string(MakeFolder());
  Spool::Settings settings;
  settings.dir = root + "/spool";
  settings.max_age = absl::InfiniteDuration();
  std::filesystem::remove_all(settings.dir);
  std::filesystem::create_directory(settings.dir);
  std::ofstream(settings.dir + "/0000000000000001.seg", std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  for (const uint64_t expected : {spans, uint64_t{0}}) {
    auto spool = Spool::Open(
        settings, [](SpoolLoss, uint64_t) { Check(false); }, [](absl::string_view) {});
    Check(spool.ok() && (*spool)->recovered_spans() == expected);
    uint64_t sent = 0;
    while (auto entry = (*spool)->Take()) {
      Check(CountSpans(entry->request) == entry->spans);
      sent += entry->spans;
      Check((*spool)->Done(entry->id));
    }
    Check(sent == expected && (*spool)->stats().segments == 0);
  }
}

void Run(absl::string_view bytes) {
  MemoryBytes source(bytes);
  const SegmentScan scan = ScanSegment(source);
  Check(source.read() <= 16 * bytes.size() + 4096);
  const uint64_t spans = CheckScan(bytes, scan);
  if (!scan.newer) {
    // Cut where it says, nothing is lost, and nothing is left to repair unless it was damaged as well.
    MemoryBytes cut(bytes.substr(0, scan.end));
    const SegmentScan again = ScanSegment(cut);
    Check(again.records.size() == scan.records.size() && again.damaged <= scan.damaged);
    Check(!again.torn || scan.end == 0 || scan.damaged > 0);
  }
  if (XXH3_64bits(bytes.data(), bytes.size()) % 64 == 0) RunSpool(bytes, spans);
}

void PutCheck(uint8_t* at, uint64_t check) { std::memcpy(at, &check, sizeof(check)); }

// Makes every checksum right that stands where a walk along the lengths expects one.
void Seal(uint8_t* data, size_t size, unsigned seed) {
  if (size < kSegmentHeaderBytes) return;
  if (seed % 8 != 0) PutCheck(data + 32, XXH3_64bits(data, 32));
  for (size_t at = kSegmentHeaderBytes; size - at >= kRecordHeaderBytes; seed = seed * 1103515245 + 12345) {
    const bool sealed = seed >> 16 & 7;
    if (sealed) std::memcpy(data + at, data + 24, 8);
    uint32_t body_bytes = 0;
    std::memcpy(&body_bytes, data + at + 8, sizeof(body_bytes));
    const size_t left = size - at - kRecordHeaderBytes;
    const uint64_t check = XXH3_64bits(data + at, 24);
    if (sealed) PutCheck(data + at + 24, check);
    if (body_bytes > left) return;
    const uint8_t* body = data + at + kRecordHeaderBytes;
    const auto spans = CountSpans({reinterpret_cast<const char*>(body), body_bytes});
    if (sealed && spans.has_value() && (seed >> 20 & 7) != 0) {
      const auto count = static_cast<uint32_t>(*spans);
      std::memcpy(data + at + 12, &count, sizeof(count));
      PutCheck(data + at + 24, XXH3_64bits(data + at, 24));
    }
    uint64_t header_check = 0;
    std::memcpy(&header_check, data + at + 24, sizeof(header_check));
    if (sealed) PutCheck(data + at + 32, XXH3_64bits_withSeed(body, body_bytes, header_check));
    const uint64_t next = RecordBytes(body_bytes);
    if (next > size - at) return;
    at += next;
  }
}

}  // namespace
}  // namespace spantap

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  const size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 4 != 0) spantap::Seal(data, mutated, seed / 4);
  return mutated;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spantap::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
