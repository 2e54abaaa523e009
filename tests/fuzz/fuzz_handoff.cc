// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: what a producer sends. The first byte says what the rest is:
//
//   r  a record       h  a hello       else  a ring: 8 bytes of head, then what lies at the start of its data
//
// No input crashes or is read past its end; what is accepted as a span or resource is sound; a ring's reader always
// gets on or gives up. Corpus: tests/data/fuzz_handoff.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "agent/handoff/peer_resource.h"
#include "agent/handoff/record_to_span.h"
#include "agent/handoff/ring_reader.h"
#include "exporter/model/utf8.h"

namespace spantap {
namespace {

void Require(bool good) {
  if (!good) std::abort();
}

bool Valid(absl::string_view text) { return ValidUtf8Prefix(text) == text.size(); }

void CheckSpan(const Span& span, size_t record_bytes) {
  Require(span.trace_id.valid() && span.span_id.valid() && span.end_unix_ns >= span.start_unix_ns);
  Require(!span.name.empty() && Valid(span.name) && Valid(span.status_message));
  Require(span.trace_state.empty() || ValidTraceState(span.trace_state));
  Require(span.attributes.count() <= RecordAttributes::kMaxAttributes && span.events.size() <= 128);
  // A bad byte becomes three, a short attribute grows by its headers and name.
  Require(span.ApproximateBytes() <= 1000 + 8 * record_bytes);
}

bool TryRecord(absl::string_view record) {
  static RecordDecoder& decoder = *new RecordDecoder();
  const std::optional<Span> span = decoder.RecordToSpan(record, nullptr);
  if (span) CheckSpan(*span, record.size());
  return span.has_value();
}

void TryHello(absl::string_view packet) {
  const std::optional<Hello> hello = ParseHello(packet);
  if (hello) Require(!MakePeerResource(*hello, {}, {})->service_name.empty());
}

void TryRing(absl::string_view bytes) {
  constexpr uint64_t kBytes = SPANTAP_RING_MIN_BYTES;
  static std::vector<char>& scratch = *new std::vector<char>();
  std::vector<uint64_t> memory((SPANTAP_RING_HEADER_BYTES + kBytes) / sizeof(uint64_t));
  auto* const ring = reinterpret_cast<spantap_ring*>(memory.data());
  if (bytes.size() < sizeof(ring->head)) return;
  std::memcpy(&ring->head, bytes.data(), sizeof(ring->head));
  bytes.remove_prefix(sizeof(ring->head));
  std::memcpy(reinterpret_cast<char*>(ring) + SPANTAP_RING_HEADER_BYTES, bytes.data(),
              std::min<size_t>(bytes.size(), kBytes));
  RingReader reader(ring, kBytes);
  for (uint64_t left = UINT64_MAX; left != 0;) {
    const RingReader::Turn turn = reader.Take(3, scratch, TryRecord);
    if (turn.lied) return;
    Require(turn.left < left);
    left = turn.left;
  }
}

void Run(absl::string_view input) {
  if (input.empty()) return;
  const char kind = input[0];
  // At its exact size, so that a read past the end is seen.
  const std::unique_ptr<char[]> copy(new char[input.size() - 1]);
  std::memcpy(copy.get(), input.data() + 1, input.size() - 1);
  const absl::string_view bytes(copy.get(), input.size() - 1);
  if (kind == 'r') {
    (void)TryRecord(bytes);
  } else if (kind == 'h') {
    TryHello(bytes);
  } else {
    TryRing(bytes);
  }
}

}  // namespace
}  // namespace spantap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spantap::Run(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
