// SPDX-License-Identifier: Apache-2.0
//
// A trace as lines of text, one span each, as a table with the tree in its first column. Two forms:
//
//   terminal  colours, "└", bars that place each span within the trace, clipped to the terminal's width
//   pipe      the same fields in the same order, plain ASCII, nothing clipped below kMaxCellBytes
//
// Used by TraceView. Pure. All untrusted text goes through AppendEscaped().
#pragma once

#include <string>

#include "agent/view/row.h"

namespace spantap {

// Escaped text longer than this is cut in a pipe, too: a line stays a line.
inline constexpr size_t kMaxCellBytes = 1024;

// "12.4 ms": three digits or so, never scientific.
std::string FormatDuration(uint64_t ns);

void AppendPlain(const Trace& trace, std::string* out);
void AppendTerminal(const Trace& trace, int columns, std::string* out);

}  // namespace spantap
