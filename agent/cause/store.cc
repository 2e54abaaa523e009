// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/store.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "exporter/intake/byte_cursor.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace spantap {
namespace {

constexpr absl::string_view kMagic = "spancaus";

template <typename T>
void Put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));  // little-endian on every target of this program
  out.append(bytes, sizeof(T));
}

absl::Status Bad(absl::string_view why) { return absl::DataLossError(why); }

}  // namespace

uint64_t StoreChecksum(absl::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::string WriteStore(const std::vector<CauseMemory::Entry>& entries) {
  std::string out(kMagic);
  Put(out, kStoreVersion);
  Put(out, static_cast<uint32_t>(entries.size()));
  for (const auto& [program, image] : entries) {
    Put(out, program);
    Put(out, static_cast<uint32_t>(image->size()));
    out += *image;
  }
  Put(out, StoreChecksum(out));
  return out;
}

absl::StatusOr<CauseMemory> ReadStore(absl::string_view bytes) {
  if (bytes.size() > kMaxStoreBytes) return Bad("it is larger than 16 MiB");
  ByteCursor cursor(bytes);
  absl::string_view magic;
  uint32_t version = 0, programs = 0;
  if (!cursor.Take(kMagic.size(), &magic) || magic != kMagic) return Bad("it is no link memory");
  if (!cursor.Read(&version)) return Bad("it is cut off");
  if (version != kStoreVersion) return Bad(absl::StrCat("it has version ", version, ", known is ", kStoreVersion));
  uint64_t checksum = 0;
  if (cursor.left() < sizeof(programs) + sizeof(checksum)) return Bad("it is cut off");
  const absl::string_view summed = bytes.substr(0, bytes.size() - sizeof(checksum));
  std::memcpy(&checksum, bytes.data() + summed.size(), sizeof(checksum));
  if (checksum != StoreChecksum(summed)) return Bad("it is cut off or damaged (checksum)");
  if (!cursor.Read(&programs) || programs > CauseMemory::kMaxPrograms) return Bad("it has too many programs");
  CauseMemory memory;
  for (uint32_t i = 0; i < programs; ++i) {
    uint64_t program = 0;
    uint32_t length = 0;
    absl::string_view image;
    if (!cursor.Read(&program) || !cursor.Read(&length) || !cursor.Take(length, &image) ||
        !memory.AddBytes(program, image)) {
      return Bad(absl::StrCat("program ", i, " of it is invalid"));
    }
  }
  if (cursor.left() != sizeof(checksum)) return Bad("there is something behind its end");
  return memory;
}

}  // namespace spantap
