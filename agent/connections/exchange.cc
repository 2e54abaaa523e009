// SPDX-License-Identifier: Apache-2.0
#include "agent/connections/exchange.h"

namespace spantap {

absl::string_view ErrorType(ExchangeError error) {
  switch (error) {
    case ExchangeError::kNone:
      return "";
    case ExchangeError::kConnectionReset:
      return "connection_reset";
    case ExchangeError::kResponseAborted:
      return "response_aborted";
    case ExchangeError::kRequestAborted:
      return "request_aborted";
    case ExchangeError::kUnfinished:
      return "unfinished";
  }
  return "";
}

}  // namespace spantap
