// SPDX-License-Identifier: Apache-2.0
//
// Who the client was before any proxy: the headers of a request that spans are made from, collected in
// one pass, and the first element of Forwarded (RFC 7239) and X-Forwarded-*.
//
// Used by span_builder.cc. Pure; views point into the head. No allocation.
#pragma once

#include "absl/strings/string_view.h"
#include "agent/protocols/http_head.h"

namespace spantap {

// First value of each; data() == nullptr where absent.
struct RequestHeaders {
  absl::string_view host;
  absl::string_view user_agent;
  absl::string_view x_request_id;
  absl::string_view x_forwarded_for;
  absl::string_view x_forwarded_host;
  absl::string_view x_forwarded_proto;
  absl::string_view forwarded;
  absl::string_view tracestate;
  absl::string_view traceparent;
  int traceparents = 0;
  int tracestates = 0;
};
RequestHeaders CollectHeaders(const HttpHead& head);

// Of the first element, outer quotes removed: what the proxy nearest to the client saw.
struct Origin {
  absl::string_view client;  // address, port and brackets removed
  absl::string_view host;    // authority as the client named it
  absl::string_view proto;   // lower-case letters only, else empty
};
Origin OriginOf(const RequestHeaders& headers);

}  // namespace spantap
