// SPDX-License-Identifier: Apache-2.0
//
// Socket addresses as text, without allocation. Pure; any thread.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace spantap {

inline constexpr size_t kAddressTextBytes = 48;

// IPv4 dotted, IPv6 by RFC 5952, v4-mapped as IPv4 (one end of a connection may be AF_INET and the
// other AF_INET6). Empty for Unix sockets and unknown families. The view points into `buffer`.
absl::string_view FormatAddress(uint8_t family, const uint8_t (&address)[16], char (&buffer)[kAddressTextBytes]);

}  // namespace spantap
