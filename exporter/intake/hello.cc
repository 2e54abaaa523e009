// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/hello.h"

#include "exporter/handoff/ring_layout.h"

namespace spantap {

std::optional<Hello> ParseHello(absl::string_view packet) {
  ByteCursor cursor(packet);
  spantap_hello fixed;
  if (packet.size() > SPANTAP_HELLO_MAX_BYTES || !cursor.Read(&fixed)) return std::nullopt;
  if (fixed.magic != SPANTAP_HELLO_MAGIC || fixed.version != SPANTAP_HANDOFF_VERSION) return std::nullopt;
  std::optional<Hello> hello(std::in_place);
  hello->ring_bytes = fixed.ring_bytes;
  if (fixed.attr_bytes != cursor.left() || !hello->attributes.Read(cursor, fixed.attr_count, fixed.attr_bytes)) {
    return std::nullopt;
  }
  return hello;
}

}  // namespace spantap
