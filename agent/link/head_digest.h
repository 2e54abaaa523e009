// SPDX-License-Identifier: Apache-2.0
//
// What links need of a message head, computed once when the head is complete: comparable hashes
// instead of header lists, and the ids it carries. Made by the linker, read by the rules.
//
// Values only, except `request_id`, which points into the head. Cost: about 15 ns a header line.
// Hashes are for equality inside one run; nothing that is exported depends on their values.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "agent/protocols/http_head.h"
#include "exporter/model/trace_context.h"

namespace spantap {

struct HeadDigest {
  // Requests. Method and target, the latter without scheme and authority (absolute form).
  uint64_t method_target = 0;
  // Sum of the hashes of all end-to-end header lines, so that order does not matter. Without those
  // that proxies add or rewrite, the authority and the length.
  uint64_t headers = 0;
  uint16_t header_count = 0;  // lines in `headers`
  uint16_t proxy_marks = 0;   // what proxies add: x-forwarded-for, via, x-envoy-...; FastCGI itself
  uint64_t host = 0;
  int64_t content_length = -1;  // -1: none, or no number
  bool truncated = false;       // later headers are unknown: `headers` says nothing
  // A request of an OpenTelemetry exporter to its collector, as Envoy's tracer makes them.
  bool own_export = false;
  // Exactly one valid traceparent line. More than one is treated as none (W3C Trace Context 4.2).
  std::optional<TraceParent> traceparent;
  absl::string_view request_id;  // empty if absent or given more than once
  uint64_t request_id_hash = 0;  // 0 if absent; equal before and after Envoy packed its trace reason
  // Responses.
  uint16_t status = 0;
  uint64_t etag = 0;
  uint64_t last_modified = 0;
  uint64_t location = 0;

  // Everything that must agree for a request to be "the same head"; see proxy_rule.cc.
  uint64_t Fingerprint() const;
};

HeadDigest DigestHead(const HttpHead& head);

// True if a proxy that read `inner` may have written `outer`: same status, and no length, validator
// or location that both have differs.
bool ResponseAgrees(const HeadDigest& inner, const HeadDigest& outer);

// Is a header with this name compared between an incoming and an outgoing request?
bool IsEndToEnd(absl::string_view name);

// The target in origin form: "http://h:1/a?b" -> "/a?b", "http://h" -> "/", "http://h?b" -> "?b"; anything else
// unchanged.
absl::string_view OriginForm(absl::string_view target);

// Of an x-request-id; 0 if it is empty. Envoy rewrites the 15th character of a UUID (its trace reason): left out.
uint64_t HashRequestId(absl::string_view value);

// Equality hash of bytes; `fold` ignores ASCII case (and a few other bits, harmless for header names).
uint64_t HashBytes(absl::string_view bytes, bool fold = false);
inline uint64_t HashCombine(uint64_t a, uint64_t b) {
  const unsigned __int128 product =
      static_cast<unsigned __int128>(a ^ 0x9e3779b97f4a7c15u) * ((b << 32 | b >> 32) ^ 0xc2b2ae3d27d4eb4fu);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace spantap
