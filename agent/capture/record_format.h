// SPDX-License-Identifier: Apache-2.0
//
// What the two halves of record_file.h share: the file header and the form of error messages.
#pragma once

#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spantap {

inline constexpr char kRecordFileMagic[8] = {'S', 'P', 'A', 'N', 'T', 'A', 'P', '1'};

struct RecordFileHeader {
  char magic[8];
  uint32_t event_version;
  uint32_t header_bytes;  // of this header; records start behind it
};
static_assert(sizeof(RecordFileHeader) == 16);

constexpr size_t PaddedRecordBytes(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

// "cannot write FILE: No space left on device" and what follows.
inline absl::Status RecordFileError(int error, absl::string_view what, absl::string_view path,
                                    absl::string_view more = "") {
  return absl::Status(absl::ErrnoToStatusCode(error),
                      absl::StrCat("cannot ", what, " ", path, ": ", strerror(error), more));
}

}  // namespace spantap
