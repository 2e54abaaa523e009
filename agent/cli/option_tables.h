// SPDX-License-Identifier: Apache-2.0
//
// The topics of the table of options, in the order of --help; options.cc puts them together.
//
// Pure; any thread.
#pragma once

#include <vector>

#include "agent/cli/options.h"

namespace spantap {

std::vector<Option> CaptureOptions();
std::vector<Option> ExportOptions();
std::vector<Option> DeliveryOptions();
std::vector<Option> SpanOptions();
std::vector<Option> RunOptions();

// Which commands take an option. `check` takes those of `agent`.
inline constexpr unsigned kForAgent = static_cast<unsigned>(Command::kAgent) | static_cast<unsigned>(Command::kCheck);
inline constexpr unsigned kForTrace = static_cast<unsigned>(Command::kTrace);
inline constexpr unsigned kForRecord = static_cast<unsigned>(Command::kRecord);
inline constexpr unsigned kForReplay = static_cast<unsigned>(Command::kReplay);
inline constexpr unsigned kForLive = kForAgent | kForTrace | kForRecord;
inline constexpr unsigned kForSpans = kForAgent | kForTrace | kForReplay;
inline constexpr unsigned kForAll = kForLive | kForReplay;

inline constexpr bool kOnce = false, kRepeatable = true;

}  // namespace spantap
