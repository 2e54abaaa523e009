// SPDX-License-Identifier: Apache-2.0
//
// Does a record keep the contract of bpf/events.h? The one check between bytes from a file (or the ring
// buffer) and EventView, behind which sizes are trusted.
//
// Pure; any thread.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "bpf/events.h"

namespace spantap {

// Longest record that may exist: a head of 64 KiB in one piece, or a process's environment text.
inline constexpr uint32_t kMaxRecordBytes = 128 * 1024;

enum class RecordVerdict : uint8_t {
  kGood,
  kMalformed,   // of known size, so that the next record can be found, but not to be delivered
  kUnknown,     // the same for a type of a later version
  kImpossible,  // its size says nothing
};

// `record` is as long as its header says (else kImpossible).
RecordVerdict CheckRecord(absl::string_view record);

}  // namespace spantap
