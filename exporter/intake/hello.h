// SPDX-License-Identifier: Apache-2.0
//
// The first packet of a producer: what it wishes and what it says of itself.
//
// Used by producer.cc. Pure; total over any bytes. Memory: the packet is at most SPANTAP_HELLO_MAX_BYTES.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "exporter/intake/record_attributes.h"

namespace spantap {

struct Hello {
  uint32_t ring_bytes = 0;      // wished; 0: none
  RecordAttributes attributes;  // of the resource; views into the packet
};

// nullopt: another version, or not what ring_layout.h says.
std::optional<Hello> ParseHello(absl::string_view packet);

}  // namespace spantap
