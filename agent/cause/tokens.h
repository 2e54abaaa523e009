// SPDX-License-Identifier: Apache-2.0
//
// Values of a request head that may tell which other request it belongs to: what is rare and occurs in both is
// evidence that one caused the other.
//
// Taken from path segments (and their ";name=value"), query values and chosen header values; never from bodies. A value
// with commas is one token, and so is each of its parts: "?ids=17,42" may lead to "/items/17". Hence two tokens that
// agree may say the same thing once; they are not independent. Where a value stands makes no difference, nor how it is
// escaped; case does. What is common ("v1", "api") is not known here, but by TokenCounts.
//
// Kept as hashes with a key that is drawn once a run and never leaves memory: not exported, not logged, not comparable
// between runs. xxHash with the key as its seed is no cryptographic hash, and need not be: nobody outside sees a hash,
// so nobody can look for values that collide, and two that do would be one wrong hint, not a disclosure. Headers that
// hold secrets (authorization, cookie) are read only if the configuration names them.
//
// Event thread. Memory: a fixed sketch of 8 KiB per process.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/cause/events.h"
#include "agent/protocols/http_head.h"

namespace spantap {

struct TokenSettings {
  bool on = true;
  std::vector<std::string> headers;  // lower case; besides path and query. Of "cookie", the single values
  uint64_t key = 0;                  // random, once a run
};

class TokenReader {
 public:
  static constexpr size_t kMaxTokens = 16;
  static constexpr size_t kMaxValues = 256;      // of a head; later ones are not looked at
  static constexpr size_t kMaxValueBytes = 512;  // longer ones are cut, everywhere alike

  explicit TokenReader(TokenSettings settings) : settings_(std::move(settings)) {}
  // At most kMaxTokens, the longest first when there are more; values shorter than two bytes, and those that every
  // request of any application has (method, scheme, numbers below 10), are none. One allocation, if there are more
  // than the list has room for.
  TokenList Read(const HttpHead& head) const;

 private:
  TokenSettings settings_;
};

// How common a token is among a process's recent incoming requests: the last 1,024 to 2,048.
class TokenCounts {
 public:
  void Add(const TokenList& tokens);  // of one incoming request
  // Share of recent incoming requests that have it, an upper bound; in (0, 1]. 1 before the first.
  double ShareOf(uint64_t token) const;

 private:
  static constexpr size_t kRows = 4;
  static constexpr size_t kColumns = 1024;
  static constexpr uint32_t kFadeAfter = 2048;  // then everything counts half

  // A count-min sketch: the cell of a row that a token shares with others; the least of the four is nearest.
  static size_t CellOf(size_t row, uint64_t token) { return row * kColumns + (token >> (row * 10)) % kColumns; }
  uint16_t CountOf(uint64_t token) const;

  uint32_t added_ = 0;
  std::array<uint16_t, kRows* kColumns> cells_ = {};
};

}  // namespace spantap
