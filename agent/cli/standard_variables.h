// SPDX-License-Identifier: Apache-2.0
//
// The texts of OTEL_* variables (exporter/model/standard_variables.h has their names) as words of our options. An error
// makes the variable ignored, with a warning (OpenTelemetry specification, "Environment Variable Specification": a
// value that cannot be understood is as if unset).
//
// Used by the rows of the table. Pure; any thread. Texts are untrusted and bounded by the environment's size.
#pragma once

#include <vector>

#include "agent/cli/options.h"
#include "exporter/model/standard_variables.h"

namespace spantap::standard {

using Words = StandardVariable::Words;

// The rows of an option whose variables mean the same.
std::vector<StandardVariable> Of(const VariableNames& names, Words (*words)(absl::string_view text),
                                 const char* accepted = nullptr);

Words Plain(absl::string_view text);
Words Name(absl::string_view text);            // an enumeration: any case
Words Boolean(absl::string_view text);         // "true" or "false", any case -> on, off
Words Milliseconds(absl::string_view text);    // a whole number
Words Timeout(absl::string_view text);         // the same; 0: no limit
Words BatchTimeout(absl::string_view text);    // the same, of a batch with its retries
Words Ratio(absl::string_view text);           // 0 to 1 -> percent
Words SignalEndpoint(absl::string_view text);  // the path is taken as it is
Words Headers(absl::string_view text);         // W3C Baggage without properties -> NAME=VALUE
Words Resource(absl::string_view text);        // key=value,... percent-encoded -> KEY=VALUE

inline constexpr char kBooleanForm[] = "true or false";
inline constexpr char kMillisecondsForm[] = "a whole number of milliseconds";
inline constexpr char kTimeoutForm[] = "a whole number of milliseconds, 0 for no limit";
inline constexpr char kRatioForm[] = "a number from 0 to 1";
inline constexpr char kHeadersForm[] = "NAME=VALUE,NAME=VALUE with percent-encoded values and no ';'";
inline constexpr char kResourceForm[] = "KEY=VALUE,KEY=VALUE, percent-encoded, at most 128";

}  // namespace spantap::standard
