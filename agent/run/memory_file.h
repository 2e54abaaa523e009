// SPDX-License-Identifier: Apache-2.0
//
// The file of --link-memory, by plain system calls: read whole, replaced whole (a temporary file beside it, synced,
// renamed), mode 0600, never through a symbolic link. Any thread; blocks. Memory: kMaxStoreBytes.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spantap {

// Whether a file can be put there: an error is one of configuration (kInvalidArgument).
absl::Status CheckMemoryPath(const std::string& path);
// NotFound: there is none yet. Any other error says why what is there is not used.
absl::StatusOr<std::string> ReadMemoryFile(const std::string& path);
absl::Status WriteMemoryFile(const std::string& path, absl::string_view bytes);

}  // namespace spantap
