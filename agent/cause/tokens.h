// SPDX-License-Identifier: Apache-2.0
//
// Values of a request head that may tell which other request it belongs to: what is rare and occurs in both is
// evidence that one caused the other.
//
// Taken from path segments, query values and chosen header values; never from bodies. Kept as hashes with a key that is
// drawn once a run and never leaves memory: not exported, not logged, not comparable between runs. Headers that hold
// secrets (authorization, cookie) are read only if the configuration names them.
//
// Event thread. Memory: a fixed sketch per process.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/cause/events.h"
#include "agent/protocols/http_head.h"

namespace spantap {

struct TokenSettings {
  bool on = true;
  std::vector<std::string> headers;  // lower case; besides path and query
  uint64_t key = 0;                  // random, once a run
};

class TokenReader {
 public:
  explicit TokenReader(TokenSettings settings) : settings_(std::move(settings)) {}
  // At most 16, the longest first when there are more; values shorter than two bytes, and those that every request
  // of any application has (method, scheme, numbers below 10), are none.
  TokenList Read(const HttpHead& head) const;

 private:
  TokenSettings settings_;
};

// How common a token is among a process's recent incoming requests.
class TokenCounts {
 public:
  void Add(const TokenList& tokens);  // of one incoming request
  // Share of recent incoming requests that have it, an upper bound; in (0, 1].
  double ShareOf(uint64_t token) const;

 private:
  uint32_t added_ = 0;
  std::array<uint16_t, 4096> cells_ = {};
};

}  // namespace spantap
