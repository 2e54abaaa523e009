// SPDX-License-Identifier: Apache-2.0
//
// The parts of a request target and of an authority, and the redaction of query values
// (https://opentelemetry.io/docs/specs/semconv/http/http-spans/, `url.query`, `url.full`).
//
// Used by exporter/intake, agent/spans and agent/view. Pure; views point into the argument. Total: any bytes are
// legal input, what does not parse yields empty parts. No allocation except in the Append functions.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

// Of a query: those of credentials replaced, or none shown at all.
enum class QueryValues : uint8_t { kRedacted, kNone };

struct Target {
  absl::string_view scheme;     // absolute form only
  absl::string_view authority;  // absolute form, and CONNECT's authority form; user information included
  absl::string_view path;       // "" for the authority form; "*" as it is
  absl::string_view query;      // without '?'
  bool has_query = false;       // "/a?" has an empty one
};

// `connect`: the target is in authority form ("host:443").
Target SplitTarget(absl::string_view target, bool connect);

struct Authority {
  absl::string_view user_info;  // before the last '@'
  absl::string_view host;       // without the brackets of an IPv6 literal
  uint16_t port = 0;            // 0: none, or not a port number
  absl::string_view host_port;  // all but the user information
};

Authority SplitAuthority(absl::string_view authority);

// The query with the values of credentials replaced (semconv's list, case-sensitive), or, with
// QueryValues::kNone, with names only: "a=1&b" -> "a=" (a part without '=' may be a value, it goes).
void AppendQuery(absl::string_view query, QueryValues values, std::string* out);

// Path and query of a target as people may see them. User information of an absolute target is left out.
void AppendPathAndQuery(const Target& target, QueryValues values, std::string* out);

}  // namespace spantap
