// SPDX-License-Identifier: Apache-2.0
//
// The two macros that may hide a return. Agent and exporter only (they need abseil).
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define SPANTAP_RETURN_IF_ERROR(expr)                                 \
  do {                                                                \
    if (absl::Status status_ = (expr); !status_.ok()) return status_; \
  } while (0)

#define SPANTAP_CONCAT_INNER(a, b) a##b
#define SPANTAP_CONCAT(a, b) SPANTAP_CONCAT_INNER(a, b)
// `lhs` may be a declaration, so it cannot stand in parentheses.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define SPANTAP_ASSIGN_OR_RETURN(lhs, expr)                                                                  \
  auto SPANTAP_CONCAT(result_, __LINE__) = (expr);                                                           \
  if (!SPANTAP_CONCAT(result_, __LINE__).ok()) return std::move(SPANTAP_CONCAT(result_, __LINE__)).status(); \
  lhs = std::move(SPANTAP_CONCAT(result_, __LINE__)).value()
// NOLINTEND(bugprone-macro-parentheses)
