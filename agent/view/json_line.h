// SPDX-License-Identifier: Apache-2.0
//
// One span as one line of JSON (`--json`). The field names are permanent; README.md lists them.
//
// Written by hand: nlohmann-json builds a tree of maps per span, ten times the cost of the span itself;
// the tests parse the lines with it.
#pragma once

#include <cstdint>
#include <string>

#include "agent/view/row.h"

namespace spantap {

// With its newline.
void AppendJsonLine(const Row& row, uint64_t wall_minus_mono_ns, std::string* out);

}  // namespace spantap
