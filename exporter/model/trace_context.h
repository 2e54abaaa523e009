// SPDX-License-Identifier: Apache-2.0
//
// Trace and span ids, and the W3C Trace Context headers (Level 2, https://www.w3.org/TR/trace-context-2/).
// Read only: spantap never rewrites a header.
//
// Values only; no allocation except FormatX(). Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

// Eight bytes of an id at once: whether one is all zero is asked several times a span.
template <size_t N>
uint64_t Word(const std::array<uint8_t, N>& bytes, size_t at) {
  uint64_t word = 0;
  std::memcpy(&word, bytes.data() + at, sizeof(word));
  return word;
}

struct TraceId {
  std::array<uint8_t, 16> bytes = {};
  bool valid() const { return (Word(bytes, 0) | Word(bytes, 8)) != 0; }
  auto operator<=>(const TraceId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const TraceId& id) {
    return H::combine(std::move(h), id.bytes);
  }
};

struct SpanId {
  std::array<uint8_t, 8> bytes = {};
  bool valid() const { return Word(bytes, 0) != 0; }
  auto operator<=>(const SpanId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const SpanId& id) {
    return H::combine(std::move(h), id.bytes);
  }
};

std::string FormatHex(const TraceId& id);  // 32 lower-case hex digits
std::string FormatHex(const SpanId& id);   // 16

inline constexpr uint8_t kFlagSampled = 0x01;
inline constexpr uint8_t kFlagRandom = 0x02;

struct TraceParent {
  TraceId trace_id;
  SpanId parent_id;
  uint8_t flags = 0;  // kFlagSampled and kFlagRandom only; unknown bits are zeroed
  bool sampled() const { return flags & kFlagSampled; }
};

// Strict (§3.2): lower case, version ff refused, version 00 exactly 55 characters, later versions
// longer only behind a dash. Outer SP and HTAB are tolerated. nullopt: restart the trace.
std::optional<TraceParent> ParseTraceParent(absl::string_view value);

// §3.3: true if the (already comma-joined) value is well formed: at most 32 members, legal keys and values.
bool ValidTraceState(absl::string_view value);

// The trace id that every node derives from one x-request-id: the UUID's bytes with the version digit
// set to 4 (Envoy rewrites it); any other value hashed to 128 bits (the same on every node and in
// every version). Never all zero. nullopt for an empty value.
std::optional<TraceId> TraceIdFromRequestId(absl::string_view request_id);

// Source of new ids. Random for real runs; seeded for replays and tests (deterministic).
class IdGenerator {
 public:
  virtual ~IdGenerator() = default;
  virtual TraceId NewTraceId() = 0;  // never all zero
  virtual SpanId NewSpanId() = 0;    // never all zero
};
class RandomIds final : public IdGenerator {  // getrandom-seeded; one thread
 public:
  RandomIds();
  TraceId NewTraceId() override;
  SpanId NewSpanId() override;

 private:
  uint64_t state_[4];
};
class SeededIds final : public IdGenerator {
 public:
  explicit SeededIds(uint64_t seed) : state_(seed) {}
  TraceId NewTraceId() override;
  SpanId NewSpanId() override;

 private:
  uint64_t state_;
};

// Deterministic head sampling of new roots: true for `ratio` of all trace ids, the same on every node
// for one id, monotone in ratio. Uses the low 56 bits (OpenTelemetry probability sampling).
bool SampledByRatio(const TraceId& id, double ratio);

}  // namespace spantap
