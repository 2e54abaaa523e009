// SPDX-License-Identifier: Apache-2.0
//
// What both forms of an answer (otlp_decode.cc: protobuf, otlp_decode_json.cc: JSON) have in common: texts made fit
// for a log, and the name of the one detail that is read.
//
// Pure.
#pragma once

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "exporter/model/attributes.h"
#include "exporter/model/utf8.h"

namespace spantap {

inline constexpr size_t kMaxAnswerText = 512;

// One line of valid UTF-8, at most kMaxAnswerText bytes.
inline std::string TidyAnswerText(absl::string_view untrusted_text) {
  std::string storage;
  std::string text(CutUtf8(RepairUtf8(CutUtf8(untrusted_text, kMaxAnswerText), &storage), kMaxAnswerText));
  for (char& c : text) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

// The host part of a type URL says nothing about the type.
inline bool IsRetryInfoType(absl::string_view type_url) { return absl::EndsWith(type_url, "/google.rpc.RetryInfo"); }

}  // namespace spantap
