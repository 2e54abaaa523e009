// SPDX-License-Identifier: Apache-2.0
//
// The head of one HTTP message, as far as spans and links need it. Made by a protocol parser, kept by
// an Exchange. Protocol-neutral: FastCGI fills the same fields from its parameters, HTTP/2 will from its
// pseudo-headers.
//
// Memory: owns one buffer (`text`, at most kMaxHeadBytes); every view points into it. Movable, so that
// the views stay valid; not copyable. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"

namespace spantap {

inline constexpr size_t kMaxHeadBytes = 64 * 1024;
inline constexpr size_t kMaxHeaders = 128;  // more are counted in `headers_dropped`

struct HttpHeader {
  absl::string_view name;   // as on the wire; compare case-insensitively
  absl::string_view value;  // outer white space removed, obs-fold replaced by one space
};

struct HttpHead {
  bool is_request = false;
  bool truncated = false;               // the head was cut (cap, gap): later headers are unknown
  uint8_t version = 11;                 // of the protocol: 10, 11, 20
  uint16_t stream = 0;                  // number of the request where the protocol has one: its response has the same
  absl::string_view protocol = "http";  // static; "fastcgi"
  uint16_t status = 0;                  // responses
  absl::string_view method;             // requests, as on the wire ("GET", "FOO")
  absl::string_view target;             // requests, as on the wire: "/a?b", "http://h/a", "h:443", "*"
  absl::string_view scheme;             // requests, static: where the protocol says it, else empty
  absl::string_view client;             // requests: address of the first client where the protocol says it, else empty
  std::vector<HttpHeader> headers;
  uint32_t headers_dropped = 0;
  std::unique_ptr<char[]> text;  // what the views point into
  size_t text_bytes = 0;

  HttpHead() = default;
  HttpHead(HttpHead&&) = default;
  HttpHead& operator=(HttpHead&&) = default;

  // First value of a header, name given in lower case; empty view (data() == nullptr) if absent.
  absl::string_view Find(absl::string_view lower_name) const;
  // Number of header lines with this name.
  int Count(absl::string_view lower_name) const;
};

}  // namespace spantap
