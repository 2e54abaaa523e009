// SPDX-License-Identifier: Apache-2.0
//
// Request heads for tests, from literals that outlive them.
#pragma once

#include <initializer_list>

#include "agent/protocols/http_head.h"

namespace spantap {

inline HttpHead RequestOf(absl::string_view target, absl::string_view method = "GET",
                          std::initializer_list<HttpHeader> headers = {}) {
  HttpHead head;
  head.is_request = true;
  head.method = method;
  head.target = target;
  head.headers = headers;
  return head;
}

}  // namespace spantap
