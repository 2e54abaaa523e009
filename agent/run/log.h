// SPDX-License-Identifier: Apache-2.0
//
// The agent's log: one line per event on stderr, key=value. Only agent/ logs; exporter/ calls the
// function it was given. Any thread.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

void SetUpLog(const std::string& level);  // once; "debug" .. "error", "off"
void SetLogLevel(const std::string& level);
// `message` becomes msg="..." (escaped); `fields` is appended as it is: "hooks=socket targets=2".
void Log(LogLevel level, absl::string_view message, absl::string_view fields = "");

}  // namespace spantap
