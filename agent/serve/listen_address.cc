// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace spantap {
namespace {

constexpr int kBacklog = 128;
constexpr char kAccepted[] = "accepted: IPV4:PORT, [IPV6]:PORT or localhost:PORT, such as 127.0.0.1:9464";

absl::Status Refuse(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--listen '", absl::CHexEscape(text), "' ", why, "; ", kAccepted));
}

bool FillIpv4(const std::string& host, uint16_t port, ListenAddress& out) {
  auto& v4 = reinterpret_cast<sockaddr_in&>(out.address);
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) != 1) return false;
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  out.size = sizeof(v4);
  out.loopback = (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  return true;
}

bool FillIpv6(const std::string& host, uint16_t port, ListenAddress& out) {
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out.address);
  if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return false;
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  out.size = sizeof(v6);
  out.loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
  return true;
}

absl::Status BindError(absl::string_view text, int error) {
  switch (error) {
    case EADDRINUSE:
      return Refuse(text, "is taken by another program; give another port");
    case EADDRNOTAVAIL:
      return Refuse(text, "is no address of this machine");
    case EACCES:
      return Refuse(text, "needs a port of 1024 or above, or the permission to use a lower one");
    default:
      return absl::UnavailableError(absl::StrCat("--listen ", text, ": ", std::strerror(error)));
  }
}

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Refuse(text, "has no port");
  uint32_t port = 0;
  const absl::string_view digits = text.substr(colon + 1);
  if (digits.empty() || digits.size() > 5 || digits.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(digits, &port) || port > 65535) {
    return Refuse(text, "has no port between 0 and 65535");
  }
  absl::string_view host = text.substr(0, colon);
  if (host.empty()) return Refuse(text, "has no address");
  if (host.find('\0') != absl::string_view::npos) return Refuse(text, "has no numeric address before the port");
  ListenAddress out;
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  const std::string name(host == "localhost" ? "127.0.0.1" : host);
  const bool good =
      bracketed ? FillIpv6(name, static_cast<uint16_t>(port), out) : FillIpv4(name, static_cast<uint16_t>(port), out);
  if (!good) return Refuse(text, "has no numeric address before the port");
  return out;
}

absl::StatusOr<UniqueFd> OpenListener(const ListenAddress& address, absl::string_view text) {
  const int family = address.address.ss_family;
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return absl::UnavailableError(absl::StrCat("--listen ", text, ": ", std::strerror(errno)));
  const int on = 1;
  // A port whose last connections are in TIME_WAIT is free; one that somebody listens on is not.
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (family == AF_INET6) (void)setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.address), address.size) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return BindError(text, errno);
  }
  return fd;
}

std::string BoundAddress(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  char text[INET6_ADDRSTRLEN] = "";
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "";
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
  inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
  return absl::StrCat(text, ":", ntohs(v4.sin_port));
}

}  // namespace spantap
