// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/forms.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace spantap::forms {
namespace {

constexpr size_t kMaxTextBytes = 4096;

struct Unit {
  absl::string_view name;
  uint64_t factor;
};
constexpr Unit kByteUnits[] = {{"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10}};
constexpr Unit kTimeUnits[] = {{"h", 3'600'000}, {"m", 60'000}, {"ms", 1}, {"s", 1000}};

// The unit at the end of `word`, taken off; 1 if there is none. Only behind a digit.
uint64_t TakeUnit(absl::Span<const Unit> units, absl::string_view& word) {
  const size_t digits = word.find_last_of("0123456789") + 1;
  for (const Unit& unit : units) {
    if (digits > 0 && word.substr(digits) == unit.name) {
      word = word.substr(0, digits);
      return unit.factor;
    }
  }
  return 1;
}

// Digits only: SimpleAtoi alone takes signs and blanks as well.
bool ParseDigits(absl::string_view word, uint64_t& ret) {
  return !word.empty() && absl::ascii_isdigit(static_cast<unsigned char>(word[0])) &&
         absl::ascii_isdigit(static_cast<unsigned char>(word.back())) && absl::SimpleAtoi(word, &ret);
}

absl::StatusOr<uint64_t> ParseUnits(absl::string_view word, absl::Span<const Unit> units, uint64_t low, uint64_t high) {
  const uint64_t factor = TakeUnit(units, word);
  uint64_t value = 0;
  if (!ParseDigits(word, value)) return Bad("is not a whole number");
  if (value > high / factor || value * factor < low) return Bad(absl::StrCat("is not between ", low, " and ", high));
  return value * factor;
}

}  // namespace

absl::StatusOr<uint64_t> ParseCount(absl::string_view word, uint64_t low, uint64_t high) {
  return ParseUnits(word, {}, low, high);
}

absl::StatusOr<uint64_t> ParseBytes(absl::string_view word, uint64_t low, uint64_t high) {
  return ParseUnits(word, kByteUnits, low, high);
}

absl::StatusOr<absl::Duration> ParseTime(absl::string_view word, absl::Duration low, absl::Duration high) {
  const auto ms = ParseUnits(word, kTimeUnits, static_cast<uint64_t>(absl::ToInt64Milliseconds(low)),
                             static_cast<uint64_t>(absl::ToInt64Milliseconds(high)));
  if (!ms.ok()) return ms.status();
  return absl::Milliseconds(*ms);
}

absl::StatusOr<std::pair<std::string, std::string>> ParsePair(absl::string_view word) {
  const size_t equals = word.find('=');
  if (equals == 0 || equals == absl::string_view::npos) return Bad("has no name before a '='");
  return std::make_pair(std::string(word.substr(0, equals)), std::string(word.substr(equals + 1)));
}

std::string ShowBytes(uint64_t bytes) {
  for (const Unit& unit : kByteUnits) {
    if (bytes != 0 && bytes % unit.factor == 0) return absl::StrCat(bytes / unit.factor, unit.name);
  }
  return absl::StrCat(bytes);
}

std::string ShowTime(absl::Duration time) {
  const int64_t ms = absl::ToInt64Milliseconds(time);
  for (const auto& [factor, name] : {std::pair(3'600'000, "h"), std::pair(60'000, "m"), std::pair(1000, "s")}) {
    if (ms != 0 && ms % factor == 0) return absl::StrCat(ms / factor, name);
  }
  return absl::StrCat(ms, "ms");
}

std::string ShowNumber(double number) { return absl::StrFormat("%.10g", number); }

absl::Status AnyText(absl::string_view word) {
  if (word.size() > kMaxTextBytes) return Bad(absl::StrCat("is longer than ", kMaxTextBytes, " bytes"));
  for (const char c : word) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) return Bad("contains a control character");
  }
  return absl::OkStatus();
}

}  // namespace spantap::forms
