// SPDX-License-Identifier: Apache-2.0
//
// Where ids come from: the request id, the random generator, the seeded one; and the sampling decision.
#include <sys/random.h>

#include <cmath>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/clock.h"
#include "exporter/model/trace_context.h"

namespace spantap {
namespace {

constexpr size_t kUuidLength = 36;
constexpr size_t kUuidVersionIndex = 14;  // character 15 of the 36

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool ParseUuid(absl::string_view text, TraceId* ret) {
  if (text.size() != kUuidLength) return false;
  size_t nibble = 0;
  for (size_t i = 0; i < kUuidLength; ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return false;
      continue;
    }
    const int digit = i == kUuidVersionIndex && HexDigit(text[i]) >= 0 ? 4 : HexDigit(text[i]);
    if (digit < 0) return false;
    uint8_t& byte = ret->bytes[nibble / 2];
    byte = static_cast<uint8_t>(nibble % 2 == 0 ? digit << 4 : byte | digit);
    ++nibble;
  }
  return true;
}

uint64_t SplitMix64(uint64_t* state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t RotateLeft(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

// xoshiro256++ (Blackman and Vigna): fast, and passes the statistical tests that ids need. Ids are no
// secrets, so it need not be unpredictable.
uint64_t Xoshiro256(uint64_t (&s)[4]) {
  const uint64_t result = RotateLeft(s[0] + s[3], 23) + s[0];
  const uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = RotateLeft(s[3], 45);
  return result;
}

template <typename Next>
TraceId MakeTraceId(Next next) {
  TraceId id;
  do {
    const uint64_t words[2] = {next(), next()};
    std::memcpy(id.bytes.data(), words, sizeof(words));
  } while (!id.valid());
  return id;
}

template <typename Next>
SpanId MakeSpanId(Next next) {
  SpanId id;
  do {
    const uint64_t word = next();
    std::memcpy(id.bytes.data(), &word, sizeof(word));
  } while (!id.valid());
  return id;
}

}  // namespace

std::optional<TraceId> TraceIdFromRequestId(absl::string_view request_id) {
  if (request_id.empty()) return std::nullopt;
  TraceId id;
  if (ParseUuid(request_id, &id)) return id;
  // XXH3 128, seed 0, in its canonical (big-endian) form: its output is frozen since xxHash 0.8, so
  // nodes of any version and architecture agree. No defence against chosen collisions is needed: who can
  // choose an id can as well send another request's id.
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(request_id.data(), request_id.size()));
  static_assert(sizeof(canonical.digest) == sizeof(id.bytes));
  std::memcpy(id.bytes.data(), canonical.digest, sizeof(id.bytes));
  if (!id.valid()) id.bytes[15] = 1;
  return id;
}

RandomIds::RandomIds() {
  if (getrandom(state_, sizeof(state_), 0) != static_cast<ssize_t>(sizeof(state_))) {
    // Only before the kernel's pool is ready, or under a filter that forbids the call: distinct, not
    // secret, is what ids need.
    uint64_t seed = MonoNs() ^ ClockNs(CLOCK_REALTIME) ^ reinterpret_cast<uintptr_t>(this);
    for (uint64_t& word : state_) word = SplitMix64(&seed);
  }
  if ((state_[0] | state_[1] | state_[2] | state_[3]) == 0) state_[0] = 1;  // the generator's one fixed point
}

TraceId RandomIds::NewTraceId() {
  return MakeTraceId([this] { return Xoshiro256(state_); });
}
SpanId RandomIds::NewSpanId() {
  return MakeSpanId([this] { return Xoshiro256(state_); });
}
TraceId SeededIds::NewTraceId() {
  return MakeTraceId([this] { return SplitMix64(&state_); });
}
SpanId SeededIds::NewSpanId() {
  return MakeSpanId([this] { return SplitMix64(&state_); });
}

bool SampledByRatio(const TraceId& id, double ratio) {
  if (!(ratio > 0)) return false;  // also NaN
  if (ratio >= 1) return true;
  uint64_t randomness = 0;
  for (size_t i = 9; i < 16; ++i) randomness = randomness << 8 | id.bytes[i];
  const uint64_t kept = static_cast<uint64_t>(std::ldexp(ratio, 56));
  return randomness >= (uint64_t{1} << 56) - kept;
}

}  // namespace spantap
