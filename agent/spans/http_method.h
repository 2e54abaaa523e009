// SPDX-License-Identifier: Apache-2.0
//
// The methods that the HTTP semantic conventions know (RFC 9110 and PATCH); any other is `_OTHER`, so
// that hostile traffic cannot make span names without bound. Case-sensitive, as methods are.
//
// Used by span_builder.cc and by agent/view. Pure.
#pragma once

#include "absl/strings/string_view.h"

namespace spantap {

inline bool IsKnownMethod(absl::string_view method) {
  for (absl::string_view known : {"GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"}) {
    if (method == known) return true;
  }
  return false;
}

// Name of a span whose route is unknown, as it is to an observer.
inline absl::string_view SpanName(absl::string_view method) { return IsKnownMethod(method) ? method : "HTTP"; }

}  // namespace spantap
