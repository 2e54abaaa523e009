// SPDX-License-Identifier: Apache-2.0
//
// Headers whose values a record file must not hold. Used by the masks of both protocols. Pure.
#pragma once

#include "absl/strings/string_view.h"

namespace spantap {

inline bool IsSecretHeader(absl::string_view lower_name) {
  return lower_name == "authorization" || lower_name == "cookie" || lower_name == "set-cookie" ||
         lower_name == "proxy-authorization" || lower_name == "x-api-key";
}

}  // namespace spantap
