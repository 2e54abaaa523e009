// SPDX-License-Identifier: Apache-2.0
#include "agent/link/linked_exchange.h"

namespace spantap {

absl::string_view LinkRuleName(LinkRule rule) {
  switch (rule) {
    case LinkRule::kNone:
      return "";
    case LinkRule::kWire:
      return "wire";
    case LinkRule::kConnection:
      return "connection";
    case LinkRule::kRequestId:
      return "request-id";
    case LinkRule::kProxy:
      return "proxy";
    case LinkRule::kThread:
      return "thread";
    case LinkRule::kCalm:
      return "calm";
    case LinkRule::kHandoff:
      return "handoff";
    case LinkRule::kProgram:
      return "program";
    case LinkRule::kToken:
      return "token";
    case LinkRule::kJoint:
      return "joint";
  }
  return "";
}

}  // namespace spantap
