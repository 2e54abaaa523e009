// SPDX-License-Identifier: Apache-2.0
//
// Lines for people about embedded mode, where SPANTAP_LOG says; nowhere by default: a proxy's streams are its own.
//
// Any thread; a line is one write(). The file is opened for each line: they are few, and the file may be rotated away.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

// `where`: "stderr", a file that is appended to, or empty: nowhere.
void WriteLogLine(const std::string& where, absl::string_view line);

}  // namespace spantap
