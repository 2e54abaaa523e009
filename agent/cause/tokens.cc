// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/tokens.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "agent/cause/request_target.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace spantap {
namespace {

constexpr size_t kMinBytes = 2;

// The longest values of a head so far.
class Chosen {
 public:
  explicit Chosen(uint64_t key) : key_(key) {}

  bool full() const { return seen_ >= TokenReader::kMaxValues; }

  void AddValue(absl::string_view escaped) {
    ++seen_;
    if (escaped.size() < kMinBytes) return;
    char buffer[TokenReader::kMaxValueBytes];
    absl::string_view value = Unescape(escaped, buffer);
    Add(value);
    if (value.find(',') == absl::string_view::npos) return;
    for (; !value.empty() && !full(); ++seen_) Add(absl::StripPrefix(TakePart(value, ','), " "));
  }

  TokenList Take() {
    std::array<uint64_t, TokenReader::kMaxTokens> hashes;
    std::transform(slots_.begin(), slots_.begin() + used_, hashes.begin(), [](const Slot& s) { return s.hash; });
    std::sort(hashes.begin(), hashes.begin() + used_);
    return TokenList(hashes.begin(), std::unique(hashes.begin(), hashes.begin() + used_));
  }

 private:
  struct Slot {
    size_t bytes;
    uint64_t hash;
  };

  void Add(absl::string_view value) {
    if (value.size() < kMinBytes) return;
    const bool room = used_ < slots_.size();
    Slot* const slot = room ? &slots_[used_] : Shortest();
    if (!room && slot->bytes >= value.size()) return;
    const uint64_t hash = XXH3_64bits_withSeed(value.data(), value.size(), key_);
    const auto same = [hash](const Slot& s) { return s.hash == hash; };
    if (std::any_of(slots_.begin(), slots_.begin() + used_, same)) return;
    *slot = {value.size(), hash};
    used_ += room;
  }

  Slot* Shortest() {
    return std::min_element(slots_.begin(), slots_.end(),
                            [](const Slot& a, const Slot& b) { return a.bytes < b.bytes; });
  }

  const uint64_t key_;
  size_t seen_ = 0;
  size_t used_ = 0;
  std::array<Slot, TokenReader::kMaxTokens> slots_;
};

// What stands behind "=", or all if there is none.
absl::string_view ValueOf(absl::string_view pair) {
  const size_t equals = pair.find('=');
  return equals == absl::string_view::npos ? pair : pair.substr(equals + 1);
}

void AddPath(absl::string_view path, Chosen& chosen) {
  while (!path.empty() && !chosen.full()) {
    absl::string_view parameters = TakePart(path, '/');
    chosen.AddValue(TakePart(parameters, ';'));
    while (!parameters.empty() && !chosen.full()) chosen.AddValue(ValueOf(TakePart(parameters, ';')));
  }
}

void AddHeader(absl::string_view name, absl::string_view value, Chosen& chosen) {
  if (!absl::EqualsIgnoreCase(name, "cookie")) return chosen.AddValue(value);
  while (!value.empty() && !chosen.full()) {
    absl::string_view cookie = ValueOf(TakePart(value, ';'));
    if (absl::ConsumePrefix(&cookie, "\"")) absl::ConsumeSuffix(&cookie, "\"");
    chosen.AddValue(cookie);
  }
}

}  // namespace

TokenList TokenReader::Read(const HttpHead& head) const {
  if (!settings_.on || !head.is_request) return {};
  Chosen chosen(settings_.key);
  RequestTarget target = SplitTarget(head.target);
  AddPath(target.path, chosen);
  while (!target.query.empty() && !chosen.full()) chosen.AddValue(ValueOf(TakePart(target.query, '&')));
  if (settings_.headers.empty()) return chosen.Take();
  for (const HttpHeader& header : head.headers) {
    for (const std::string& name : settings_.headers) {
      if (absl::EqualsIgnoreCase(header.name, name)) AddHeader(header.name, header.value, chosen);
    }
  }
  return chosen.Take();
}

uint16_t TokenCounts::CountOf(uint64_t token) const {
  uint16_t least = cells_[CellOf(0, token)];
  for (size_t row = 1; row < kRows; ++row) least = std::min(least, cells_[CellOf(row, token)]);
  return least;
}

void TokenCounts::Add(const TokenList& tokens) {
  for (const uint64_t token : tokens) {
    // Only the cells that are too low are raised: a token's count is then less often that of its neighbours.
    const uint16_t count = static_cast<uint16_t>(CountOf(token) + 1);
    for (size_t row = 0; row < kRows; ++row) {
      uint16_t& cell = cells_[CellOf(row, token)];
      cell = std::max(cell, count);
    }
  }
  if (++added_ < kFadeAfter) return;
  added_ /= 2;
  // Rounded up, so that a share stays an upper bound.
  for (uint16_t& cell : cells_) cell = static_cast<uint16_t>(cell - cell / 2);
}

double TokenCounts::ShareOf(uint64_t token) const { return std::min(1.0, (CountOf(token) + 1.0) / (added_ + 1.0)); }

}  // namespace spantap
