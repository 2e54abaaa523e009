// SPDX-License-Identifier: Apache-2.0
#include "exporter/model/trace_context.h"

namespace spantap {
namespace {

constexpr size_t kTraceParentLength = 55;  // 2 + 1 + 32 + 1 + 16 + 1 + 2
constexpr size_t kMaxTraceStateMembers = 32;
constexpr size_t kMaxTraceStateKey = 256;
constexpr size_t kMaxTraceStateValue = 256;

// Lower case only: the header's rule. -1: no such digit.
int LowerHexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

template <size_t N>
bool ParseLowerHex(absl::string_view text, std::array<uint8_t, N>* ret) {
  if (text.size() != 2 * N) return false;
  for (size_t i = 0; i < N; ++i) {
    const int high = LowerHexDigit(text[2 * i]);
    const int low = LowerHexDigit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    (*ret)[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

template <size_t N>
std::string Hex(const std::array<uint8_t, N>& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(2 * N, '0');
  for (size_t i = 0; i < N; ++i) {
    text[2 * i] = kDigits[bytes[i] >> 4];
    text[2 * i + 1] = kDigits[bytes[i] & 0xf];
  }
  return text;
}

absl::string_view TrimOws(absl::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool LowerAlphaOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool ValidTraceStateKey(absl::string_view key) {
  if (key.empty() || key.size() > kMaxTraceStateKey || !LowerAlphaOrDigit(key[0])) return false;
  for (const char c : key.substr(1)) {
    if (!LowerAlphaOrDigit(c) && c != '_' && c != '-' && c != '*' && c != '/' && c != '@') return false;
  }
  return true;
}

// Outer white space is gone already, so the rule "does not end in a space" holds.
bool ValidTraceStateValue(absl::string_view value) {
  if (value.empty() || value.size() > kMaxTraceStateValue) return false;
  for (const char c : value) {
    if (c < 0x20 || c > 0x7e || c == ',' || c == '=') return false;
  }
  return true;
}

}  // namespace

std::string FormatHex(const TraceId& id) { return Hex(id.bytes); }
std::string FormatHex(const SpanId& id) { return Hex(id.bytes); }

std::optional<TraceParent> ParseTraceParent(absl::string_view value) {
  value = TrimOws(value);
  if (value.size() < kTraceParentLength) return std::nullopt;
  if (value[2] != '-' || value[35] != '-' || value[52] != '-') return std::nullopt;
  std::array<uint8_t, 1> version, flags;
  TraceParent parent;
  if (!ParseLowerHex(value.substr(0, 2), &version) || !ParseLowerHex(value.substr(3, 32), &parent.trace_id.bytes) ||
      !ParseLowerHex(value.substr(36, 16), &parent.parent_id.bytes) || !ParseLowerHex(value.substr(53, 2), &flags)) {
    return std::nullopt;
  }
  if (version[0] == 0xff) return std::nullopt;
  if (value.size() > kTraceParentLength && (version[0] == 0 || value[kTraceParentLength] != '-')) return std::nullopt;
  if (!parent.trace_id.valid() || !parent.parent_id.valid()) return std::nullopt;
  parent.flags = flags[0] & (kFlagSampled | kFlagRandom);
  return parent;
}

bool ValidTraceState(absl::string_view value) {
  size_t members = 0;
  while (true) {
    const size_t comma = value.find(',');
    const absl::string_view member = TrimOws(value.substr(0, comma));
    if (!member.empty()) {
      const size_t equals = member.find('=');
      if (equals == absl::string_view::npos || ++members > kMaxTraceStateMembers) return false;
      if (!ValidTraceStateKey(member.substr(0, equals)) || !ValidTraceStateValue(member.substr(equals + 1))) {
        return false;
      }
    }
    if (comma == absl::string_view::npos) return true;
    value.remove_prefix(comma + 1);
  }
}

}  // namespace spantap
