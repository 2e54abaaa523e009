// SPDX-License-Identifier: Apache-2.0
//
// A CauseMemory as the bytes of a file, little-endian:
//
//   "spancaus", version u32, programs u32, [program u64, bytes u32, image (image_bytes.h)], XXH3 of all before u64
//
// Programs in the order in which they were learned. Only hashes and counts: no path, name or value. Any bytes may
// come: ReadStore() is total; it takes all of a file or nothing. Pure; any thread. Memory: CauseMemory's bounds.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/cause/cause_memory.h"

namespace spantap {

inline constexpr size_t kMaxStoreBytes = 16 << 20;
inline constexpr uint32_t kStoreVersion = 1;

std::string WriteStore(const std::vector<CauseMemory::Entry>& entries);
// An error says what is wrong with the bytes.
absl::StatusOr<CauseMemory> ReadStore(absl::string_view bytes);
uint64_t StoreChecksum(absl::string_view bytes);

}  // namespace spantap
