// SPDX-License-Identifier: Apache-2.0
#include "agent/spans/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

#include "bpf/events.h"

namespace spantap {
namespace {

// inet_ntop goes through sprintf for IPv4, which would be the most expensive part of a span.
absl::string_view FormatIpv4(const uint8_t* bytes, char* buffer) {
  char* end = buffer;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) *end++ = '.';
    end = std::to_chars(end, end + 3, bytes[i]).ptr;
  }
  return {buffer, static_cast<size_t>(end - buffer)};
}

}  // namespace

absl::string_view FormatAddress(uint8_t family, const uint8_t (&address)[16], char (&buffer)[kAddressTextBytes]) {
  static constexpr uint8_t kV4Mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (family == SPANTAP_FAMILY_INET) return FormatIpv4(address, buffer);
  if (family != SPANTAP_FAMILY_INET6) return {};
  if (memcmp(address, kV4Mapped, sizeof(kV4Mapped)) == 0) return FormatIpv4(address + 12, buffer);
  return inet_ntop(AF_INET6, address, buffer, sizeof(buffer)) != nullptr ? buffer : "";
}

}  // namespace spantap
