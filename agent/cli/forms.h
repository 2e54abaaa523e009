// SPDX-License-Identifier: Apache-2.0
//
// The forms that values of options take: each function makes apply and show of one option from one description.
// `field` is a function from (const) Draft& to the (const) field, as `[](auto& d) -> auto& { return d.x; }`.
//
// Used by options_*.cc. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/cli/options.h"

namespace spantap::forms {

inline absl::Status Bad(absl::string_view why) { return absl::InvalidArgumentError(why); }

// The words and values below; an error says what is wrong with the word.
absl::StatusOr<uint64_t> ParseCount(absl::string_view word, uint64_t low, uint64_t high);
absl::StatusOr<uint64_t> ParseBytes(absl::string_view word, uint64_t low, uint64_t high);
absl::StatusOr<absl::Duration> ParseTime(absl::string_view word, absl::Duration low, absl::Duration high);
absl::StatusOr<std::pair<std::string, std::string>> ParsePair(absl::string_view word);
std::string ShowBytes(uint64_t bytes);      // 4096 -> "4KiB", 5000 -> "5000"
std::string ShowTime(absl::Duration time);  // "500ms", "10s", "5m", "24h"
std::string ShowNumber(double number);      // the shortest with at most ten digits

// A form from a parser of one word, a printer and a field.
template <typename Field, typename Parse, typename Show>
Form One(std::string accepted, Field field, Parse parse, Show show) {
  return {std::move(accepted),
          [field, parse](absl::string_view word, Draft& draft) {
            auto value = parse(word);
            if (!value.ok()) return value.status();
            using T = std::decay_t<decltype(field(draft))>;
            field(draft) = static_cast<T>(*std::move(value));
            return absl::OkStatus();
          },
          [field, show](const Draft& draft) { return std::vector<std::string>{show(field(draft))}; }};
}

// As One() for a list: each word adds an element.
template <typename Field, typename Parse, typename Show>
Form Each(std::string accepted, Field field, Parse parse, Show show) {
  return {std::move(accepted),
          [field, parse](absl::string_view word, Draft& draft) {
            auto value = parse(word);
            if (!value.ok()) return value.status();
            using T = typename std::decay_t<decltype(field(draft))>::value_type;
            field(draft).push_back(static_cast<T>(*std::move(value)));
            return absl::OkStatus();
          },
          [field, show](const Draft& draft) {
            std::vector<std::string> words;
            for (const auto& value : field(draft)) words.push_back(show(value));
            return words;
          }};
}

inline std::string ShowCount(uint64_t count) { return absl::StrCat(count); }

// A whole number.
template <typename Field>
Form Count(Field field, uint64_t low, uint64_t high, absl::string_view of = "a whole number") {
  return One(
      absl::StrCat(of, ", ", low, " to ", high), field,
      [low, high](absl::string_view word) { return ParseCount(word, low, high); }, ShowCount);
}

// Bytes, or with KiB, MiB or GiB.
template <typename Field>
Form Bytes(Field field, uint64_t low, uint64_t high) {
  return One(
      absl::StrCat(low, " to ", high, " bytes, or with a unit: 512KiB, 16MiB, 1GiB"), field,
      [low, high](absl::string_view word) { return ParseBytes(word, low, high); }, ShowBytes);
}

// Milliseconds, or with ms, s, m or h.
template <typename Field>
Form Time(Field field, absl::Duration low, absl::Duration high) {
  return One(
      absl::StrCat(absl::ToInt64Milliseconds(low), " to ", absl::ToInt64Milliseconds(high),
                   " milliseconds, or with a unit: 500ms, 10s, 5m, 24h"),
      field, [low, high](absl::string_view word) { return ParseTime(word, low, high); }, ShowTime);
}

template <typename Field>
Form OnOff(Field field) {
  return One(
      "on or off", field,
      [](absl::string_view word) -> absl::StatusOr<bool> {
        if (word == "on" || word == "off") return word == "on";
        return Bad("is neither on nor off");
      },
      [](bool on) { return std::string(on ? "on" : "off"); });
}

// One of some names, each with its value.
template <typename T, typename Field>
Form OneOf(Field field, std::vector<std::pair<const char*, T>> names, const char* what) {
  std::string accepted;
  for (size_t i = 0; i < names.size(); ++i) {
    absl::StrAppend(&accepted, i == 0 ? "" : i + 1 == names.size() ? " or " : ", ", names[i].first);
  }
  const auto parse = [names, what](absl::string_view word) -> absl::StatusOr<T> {
    for (const auto& [name, value] : names) {
      if (word == name) return value;
    }
    return Bad(absl::StrCat("is no ", what));
  };
  const auto show = [names](const T& wanted) {
    for (const auto& [name, value] : names) {
      if (value == wanted) return std::string(name);
    }
    return std::string();
  };
  return One(std::move(accepted), field, parse, show);
}

// A text that `check` (Status (*)(absl::string_view)) lets pass; empty: not set.
template <typename Field>
Form Text(std::string accepted, Field field, absl::Status (*check)(absl::string_view)) {
  return {std::move(accepted),
          [field, check](absl::string_view word, Draft& draft) {
            absl::Status status = word.empty() ? Bad("is empty") : check(word);
            if (status.ok()) field(draft) = std::string(word);
            return status;
          },
          [field](const Draft& draft) {
            const std::string& text = field(draft);
            return text.empty() ? std::vector<std::string>() : std::vector<std::string>{text};
          }};
}

absl::Status AnyText(absl::string_view word);  // without control characters, bounded

}  // namespace spantap::forms
